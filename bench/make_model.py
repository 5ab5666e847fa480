"""Writes a chain of convolutions with pseudo-random weights as ONNX, with the standard library alone.

usage: make_model.py OUT.onnx LAYERS     each layer is a 3x3 convolution of 320 channels and a Relu: 3.7 MB
"""
import random
import struct
import sys


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, body):
    """A length-delimited field, or a varint for an int."""
    if isinstance(body, int):
        return varint(number << 3) + varint(body)
    return varint(number << 3 | 2) + varint(len(body)) + body


def tensor(name, dims, raw):
    return b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name.encode()) + field(9, raw)


def ints(name, values):
    return field(1, name.encode()) + b"".join(field(8, v) for v in values) + field(20, 7)


def node(op_type, inputs, outputs, attributes=()):
    return (b"".join(field(1, i.encode()) for i in inputs) + b"".join(field(2, o.encode()) for o in outputs)
            + field(3, outputs[0].encode()) + field(4, op_type.encode()) + b"".join(field(5, a) for a in attributes))


def value(name, dims):
    shape = b"".join(field(1, field(1, d)) for d in dims)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, shape)))


def main(path, layers):
    random.seed(0)
    channels = 320
    count = channels * channels * 9
    block = b"".join(struct.pack("<f", random.uniform(-0.02, 0.02)) for _ in range(4096))
    nodes, tensors, last = [], [], "x"
    for k in range(layers):
        raw = (struct.pack("<f", 0.001 * k) + block * (count * 4 // len(block) + 1))[:count * 4]
        tensors.append(tensor(f"w{k}", [channels, channels, 3, 3], raw))
        nodes.append(node("Conv", [last, f"w{k}"], [f"c{k}"], [ints("pads", [1, 1, 1, 1])]))
        nodes.append(node("Relu", [f"c{k}"], [f"r{k}"]))
        last = f"r{k}"
    graph = (b"".join(field(1, n) for n in nodes) + field(2, b"chain") + b"".join(field(5, t) for t in tensors)
             + field(11, value("x", [1, channels, 8, 8])) + field(12, value(last, [1, channels, 8, 8])))
    with open(path, "wb") as out:
        out.write(field(1, 8) + field(7, graph) + field(8, field(2, 17)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
