"""Writes a synthetic ONNX model, with the standard library alone.

usage: make_model.py convolutions|chain|sparse OUT.onnx SIZE     layers, nodes, bytes of weights
"""
import pathlib
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


def write(path, nodes, tensors, shape, last):
    graph = (b"".join(field(1, n) for n in nodes) + field(2, b"main") + b"".join(field(5, t) for t in tensors)
             + field(11, value("x", shape)) + field(12, value(last, shape)))
    with open(path, "wb") as out:
        out.write(field(1, 8) + field(7, graph) + field(8, field(2, 17)))


def write_convolutions(path, layers):
    """3x3 convolutions of 320 channels with pseudo-random weights, and a Relu behind each: 3.7 MB a layer."""
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
    write(path, nodes, tensors, [1, channels, 8, 8], last)


def write_chain(path, count):
    """So many activations, one behind the other."""
    kinds = ["Relu", "Abs", "Sigmoid", "Neg", "Tanh"]
    nodes = [node(kinds[k % len(kinds)], [f"v{k - 1}" if k else "x"], [f"v{k}"]) for k in range(count)]
    write(path, nodes, [], [1, 8], f"v{count - 1}")


def write_sparse(path, total):
    """Products with 4096x4096 matrices whose `total` bytes stand in a sparse file beside the model: zeros but for one number in each."""
    side, nodes, tensors, last = 4096, [], [], "x"
    size = side * side * 4
    with open(f"{path}.data", "wb") as data:
        data.truncate(total)
        for k in range(total // size):
            data.seek(k * size)
            data.write(struct.pack("<f", 1.0 + k))
            external = b"".join(field(13, field(1, key) + field(2, text)) for key, text in
                                ((b"location", f"{pathlib.Path(path).name}.data".encode()), (b"offset", str(k * size).encode()), (b"length", str(size).encode())))
            tensors.append(b"".join(field(1, d) for d in (side, side)) + field(2, 1) + field(8, f"w{k}".encode()) + external + field(14, 1))
            nodes.append(node("MatMul", [last, f"w{k}"], [f"m{k}"]))
            nodes.append(node("Relu", [f"m{k}"], [f"r{k}"]))
            last = f"r{k}"
    write(path, nodes, tensors, [1, side], last)


if __name__ == "__main__":
    {"convolutions": write_convolutions, "chain": write_chain, "sparse": write_sparse}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
