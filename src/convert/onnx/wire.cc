#include "convert/onnx/wire.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/proto_reader.h"

namespace smelt::onnx_format {
namespace {

struct DataTypeRow {
  std::string_view name;
  std::uint64_t bits;
  int member;  ///< TensorProto field of typed data: float 4, int32 5, string 6, int64 7, double 10, uint64 11
};

// Index: TensorProto.DataType.
constexpr std::array<DataTypeRow, 27> kDataTypes{{
    {"unknown", 0, 0},         {"float32", 32, 4},     {"uint8", 8, 5},           {"int8", 8, 5},
    {"uint16", 16, 5},         {"int16", 16, 5},       {"int32", 32, 5},          {"int64", 64, 7},
    {"string", 0, 6},          {"bool", 8, 5},         {"float16", 16, 5},        {"float64", 64, 10},
    {"uint32", 32, 11},        {"uint64", 64, 11},     {"complex64", 64, 4},      {"complex128", 128, 10},
    {"bfloat16", 16, 5},       {"float8e4m3fn", 8, 5}, {"float8e4m3fnuz", 8, 5},  {"float8e5m2", 8, 5},
    {"float8e5m2fnuz", 8, 5},  {"uint4", 4, 5},        {"int4", 4, 5},            {"float4e2m1", 4, 5},
    {"float8e8m0", 8, 5},      {"uint2", 2, 5},        {"int2", 2, 5},
}};
constexpr int kStringType = 8;

using proto::Field;
using enum proto::WireType;

class Reader : private proto::Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file, const Limits& limits)
      : proto::Reader(bytes, file, "ONNX", "the file is damaged, or not an ONNX model"), limits_(limits) {}

  Result<Model> model() {
    Model model;
    bool has_graph = false;
    SMELT_RETURN_IF_ERROR(each_field(bytes_, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return integer(field, model.ir_version);
        case 2: return name(field, model.producer_name);
        case 3: return name(field, model.producer_version);
        case 7:
          if (has_graph) return malformed(field, "the model has two graphs");
          has_graph = true;
          return graph(field, model.graph, 1);
        case 8: return append(field, model.opset_imports, [&](OpsetImport& out) { return opset(field, out); });
        case 25: model.has_functions = true; return {};
        default: return {};
      }
    }));
    if (model.ir_version < 0) {
      return error(ErrorCode::kMalformedInput, 0, fmt::format("the ir_version is {}", model.ir_version));
    }
    if (!has_graph) {
      return Error(ErrorCode::kMalformedInput, "the file holds no graph")
          .at({.file = file_})
          .hint("is it an ONNX model? a model begins with its ir_version and holds one graph");
    }
    return model;
  }

 private:
  Status integer(const Field& field, std::int64_t& out) const {
    SMELT_RETURN_IF_ERROR(expect(field, kVarint));
    out = static_cast<std::int64_t>(field.value);
    return {};
  }

  /// An enum or int32 that must lie in [0, limit).
  Status small_integer(const Field& field, int limit, int& out) const {
    SMELT_RETURN_IF_ERROR(expect(field, kVarint));
    if (field.value >= static_cast<std::uint64_t>(limit)) {
      return malformed(field, fmt::format("field {} holds {}, the largest known is {}", field.number,
                                          static_cast<std::int64_t>(field.value), limit - 1));
    }
    out = static_cast<int>(field.value);
    return {};
  }

  Status name(const Field& field, std::string& out) {
    SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    if (field.body.size() > limits_.max_name_bytes) {
      return error(ErrorCode::kLimitReached, field.offset,
                   fmt::format("a name has {} bytes, the limit is {}", field.body.size(), limits_.max_name_bytes));
    }
    return text(field, out);
  }

  /// Any bytes, of any length that the structure may have.
  Status text(const Field& field, std::string& out) {
    SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    SMELT_RETURN_IF_ERROR(charge(field, field.body.size()));
    // Byte by byte: `body` may be empty with any address.
    out.clear();
    for (const std::byte byte : field.body) out += static_cast<char>(byte);
    return {};
  }

  /// Takes `bytes` from the budget for structure, before they are allocated.
  Status charge(const Field& field, std::uint64_t bytes) {
    if (bytes > limits_.max_structure_bytes - structure_bytes_) {
      return error(ErrorCode::kLimitReached, field.offset,
                   fmt::format("the structure, without weights, needs more than {} bytes", limits_.max_structure_bytes));
    }
    structure_bytes_ += bytes;
    return {};
  }

  /// Appends an element to `list` and lets `read` fill it.
  template <typename T, typename Read>
  Status append(const Field& field, std::vector<T>& list, const Read& read) {
    SMELT_RETURN_IF_ERROR(charge(field, sizeof(T)));
    return read(list.emplace_back());
  }

  Status operand(const Field& field, std::vector<std::string>& out) {
    if (out.size() == limits_.max_operands) {
      return error(ErrorCode::kLimitReached, field.offset, fmt::format("a node has more than {} inputs or outputs", limits_.max_operands));
    }
    return append(field, out, [&](std::string& text) { return name(field, text); });
  }

  Status opset(const Field& outer, OpsetImport& out) {
    return each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return name(field, out.domain);
        case 2: return integer(field, out.version);
        default: return {};
      }
    });
  }

  Status graph(const Field& outer, Graph& out, int depth) {
    SMELT_RETURN_IF_ERROR(expect(outer, kBytes));
    if (depth > limits_.max_graph_depth) {
      return error(ErrorCode::kLimitReached, outer.offset,
                   fmt::format("graphs are nested deeper than {}", limits_.max_graph_depth));
    }
    return each_field(outer.body, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1:
          if (++nodes_ > limits_.max_nodes) {
            return error(ErrorCode::kLimitReached, field.offset, fmt::format("more than {} nodes", limits_.max_nodes));
          }
          return append(field, out.nodes, [&](Node& child) { return node(field, child, depth); });
        case 2: return name(field, out.name);
        case 5: return append(field, out.initializers, [&](Tensor& child) { return tensor(field, child); });
        case 11: return append(field, out.inputs, [&](ValueInfo& child) { return value_info(field, child); });
        case 12:
          if (out.outputs.size() == limits_.max_graph_outputs) {
            return error(ErrorCode::kLimitReached, field.offset, fmt::format("a graph has more than {} outputs", limits_.max_graph_outputs));
          }
          return append(field, out.outputs, [&](ValueInfo& child) { return value_info(field, child); });
        case 13: return append(field, out.value_infos, [&](ValueInfo& child) { return value_info(field, child); });
        case 15: out.has_sparse_initializers = true; return {};
        default: return {};
      }
    });
  }

  Status node(const Field& outer, Node& out, int depth) {
    SMELT_RETURN_IF_ERROR(each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return operand(field, out.inputs);
        case 2: return operand(field, out.outputs);
        case 3: return name(field, out.name);
        case 4: return name(field, out.op_type);
        case 5: return append(field, out.attributes, [&](Attribute& child) { return attribute(field, child, depth); });
        case 7: return name(field, out.domain);
        default: return {};
      }
    }));
    if (out.op_type.empty()) return malformed(outer, "a node has no op_type");
    return {};
  }

  Status attribute(const Field& outer, Attribute& out, int depth) {
    return each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return name(field, out.name);
        case 2: return real(field, out.f.emplace());
        case 3: return integer(field, out.i.emplace());
        case 4: return text(field, out.s.emplace());
        case 7: return floats(field, out.floats);
        case 8: return integers(field, out.ints);
        case 9: return append(field, out.strings, [&](std::string& child) { return text(field, child); });
        case 21: return name(field, out.ref_attr_name);
        case 5:
          if (out.tensor) return malformed(field, "an attribute has two tensors");
          return tensor(field, out.tensor.emplace());
        case 6:
          if (!out.graphs.empty()) return malformed(field, "an attribute has two graphs");
          [[fallthrough]];
        case 11: return append(field, out.graphs, [&](Graph& child) { return graph(field, child, depth + 1); });
        case 20: return small_integer(field, 15, out.type);
        default: return {};
      }
    });
  }

  Status real(const Field& field, float& out) const {
    SMELT_RETURN_IF_ERROR(expect(field, kFixed32));
    std::memcpy(&out, field.body.data(), sizeof out);  // both little-endian
    return {};
  }

  /// One element of a repeated float, or a packed run of them.
  Status floats(const Field& field, std::vector<float>& out) {
    if (field.wire != kFixed32) SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    if (field.body.size() % sizeof(float) != 0) {
      return malformed(field, fmt::format("field {} has {} bytes of 4-byte values", field.number, field.body.size()));
    }
    SMELT_RETURN_IF_ERROR(charge(field, field.body.size()));
    for (std::size_t at = 0; at < field.body.size(); at += sizeof(float)) {
      std::memcpy(&out.emplace_back(), field.body.data() + at, sizeof(float));
    }
    return {};
  }

  /// One element of a repeated int64, or a packed run of them.
  Status integers(const Field& field, std::vector<std::int64_t>& out) {
    return each_varint(field, [&](std::uint64_t value) -> Status {
      SMELT_RETURN_IF_ERROR(charge(field, sizeof value));
      out.push_back(static_cast<std::int64_t>(value));
      return {};
    });
  }

  Status tensor(const Field& outer, Tensor& out) {
    SMELT_RETURN_IF_ERROR(expect(outer, kBytes));
    int location = 0;
    std::uint32_t external_keys = 0;
    SMELT_RETURN_IF_ERROR(each_field(outer.body, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return dims(field, out);
        case 2: return small_integer(field, static_cast<int>(kDataTypes.size()), out.data_type);
        case 3: return malformed(field, "tensor segments were never defined");
        case 4:
        case 5:
        case 6:
        case 7:
        case 9:
        case 10:
        case 11: return payload(field, out);
        case 8: return name(field, out.name);
        case 13: return external(field, out, external_keys);
        case 14: return small_integer(field, 2, location);
        default: return {};
      }
    }));
    return check_tensor(outer, location, out);
  }

  Status dims(const Field& field, Tensor& out) {
    SMELT_RETURN_IF_ERROR(integers(field, out.dims));
    if (out.dims.size() > limits_.max_rank) {
      return error(ErrorCode::kLimitReached, field.offset, fmt::format("a rank is over {}", limits_.max_rank));
    }
    for (const std::int64_t extent : out.dims) {
      if (extent < 0) return malformed(field, fmt::format("an extent is {}", extent));
    }
    return {};
  }

  Status payload(const Field& field, Tensor& out) {
    const auto number = static_cast<int>(field.number);
    if (out.payload_field != 0 && out.payload_field != number) {
      return malformed(field, fmt::format("a tensor has data in fields {} and {}", out.payload_field, number));
    }
    if (out.payload_field == 9) return malformed(field, "a tensor has raw_data twice");
    out.payload_field = number;
    const std::uint32_t alone = number == 4 ? kFixed32 : number == 10 ? kFixed64 : number == 6 || number == 9 ? kBytes : kVarint;
    if (field.wire != alone) SMELT_RETURN_IF_ERROR(expect(field, kBytes));
    return append(field, out.payloads, [&](Payload& run) {
      run = {.offset = field.body.empty() ? field.offset : offset_of(field.body.data()), .length = field.body.size()};
      return Status();
    });
  }

  /// An entry of external_data. `keys` is a bit for each known key that was there before.
  Status external(const Field& outer, Tensor& out, std::uint32_t& keys) {
    SMELT_RETURN_IF_ERROR(expect(outer, kBytes));
    std::string key, value;
    SMELT_RETURN_IF_ERROR(each_field(outer.body, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return name(field, key);
        case 2: return name(field, value);
        default: return {};
      }
    }));
    constexpr std::array<std::string_view, 3> kKeys{"location", "offset", "length"};
    const auto index = static_cast<std::size_t>(std::find(kKeys.begin(), kKeys.end(), key) - kKeys.begin());
    if (index == kKeys.size()) return {};  // a checksum, or another tool's own
    const std::uint32_t bit = 1U << index;
    if ((keys & bit) != 0) return malformed(outer, fmt::format("external data has its {} twice", key));
    keys |= bit;
    if (index == 0) {
      out.external_location = std::move(value);
      return {};
    }
    return decimal(outer, key, value, index == 1 ? out.external_offset : out.external_length.emplace());
  }

  /// 1 to 19 digits, at most 2^63 - 1.
  Status decimal(const Field& field, std::string_view key, std::string_view digits, std::uint64_t& out) const {
    const char* const end = digits.data() + digits.size();
    const auto [last, code] = std::from_chars(digits.data(), end, out);  // takes no sign, blank or prefix
    if (code == std::errc() && last == end && digits.size() <= 19 && out >> 63 == 0) return {};
    return malformed(field, fmt::format("the {} of external data is \"{}\", not a number of 63 bits", key, digits.substr(0, 40)));
  }

  Status check_tensor(const Field& outer, int location, Tensor& out) const {
    if (out.data_type == 0) return malformed(outer, fmt::format("tensor \"{}\" has no data type", out.name));
    const bool is_empty = std::find(out.dims.begin(), out.dims.end(), 0) != out.dims.end();
    out.element_count = is_empty ? 0 : 1;
    // 2^59 elements of 16 bytes is the largest size whose bit count fits 64 bits.
    constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 56;
    if (!is_empty) {
      for (const std::int64_t extent : out.dims) {
        if (static_cast<std::uint64_t>(extent) > kMaxElements / out.element_count) {
          return malformed(outer, fmt::format("tensor \"{}\" has more than 2^56 elements", out.name));
        }
        out.element_count *= static_cast<std::uint64_t>(extent);
      }
    }
    out.is_external = location == 1;
    if (!out.is_external && !out.external_location.empty()) {
      return malformed(outer, fmt::format("tensor \"{}\" names a file but is not external", out.name));
    }
    if (out.is_external) {
      if (out.external_location.empty()) {
        return malformed(outer, fmt::format("external tensor \"{}\" names no file", out.name));
      }
      if (out.payload_field != 0) {
        return malformed(outer, fmt::format("tensor \"{}\" is external and inline at once", out.name));
      }
      return {};
    }
    if (out.payload_field == 9) {
      if (out.data_type == kStringType) return malformed(outer, "a string tensor has raw_data");
      const std::uint64_t needed = (out.element_count * data_type_bits(out.data_type) + 7) / 8;
      if (out.payloads.front().length != needed) {
        return malformed(outer, fmt::format("raw_data of tensor \"{}\" has {} bytes, its shape needs {}", out.name,
                                            out.payloads.front().length, needed));
      }
      return {};
    }
    return check_typed_data(outer, out);
  }

  /// Data in a typed member: the member of the data type, with exactly the elements that the shape asks for.
  Status check_typed_data(const Field& outer, const Tensor& tensor) const {
    if (tensor.payload_field == 0) {
      if (tensor.element_count == 0) return {};
      return malformed(outer, fmt::format("tensor \"{}\" has no data", tensor.name));
    }
    const int member = kDataTypes[static_cast<std::size_t>(tensor.data_type)].member;
    if (tensor.payload_field != member) {
      return malformed(outer, fmt::format("{} tensor \"{}\" has its data in field {}, not {}",
                                          data_type_name(tensor.data_type), tensor.name, tensor.payload_field, member));
    }
    const std::uint64_t bits = data_type_bits(tensor.data_type);
    std::uint64_t needed = tensor.element_count;               // entries of the member
    if (bits != 0 && bits < 8) needed = (needed * bits + 7) / 8;  // an entry is a byte of packed values
    if (tensor.data_type == 14 || tensor.data_type == 15) needed *= 2;  // complex: real and imaginary part

    std::uint64_t found = 0;
    for (const Payload& run : tensor.payloads) {
      if (member == 6) {
        ++found;
      } else if (member == 4 || member == 10) {
        const std::uint64_t size = member == 4 ? 4 : 8;
        if (run.length % size != 0) {
          return malformed(outer, fmt::format("tensor \"{}\" has {} bytes of {}-byte values", tensor.name, run.length, size));
        }
        found += run.length / size;
      } else {
        const std::byte* in = bytes_.data() + run.offset;
        const std::byte* const end = in + run.length;
        for (std::uint64_t value = 0; in != end; ++found) SMELT_RETURN_IF_ERROR(varint(in, end, value));
      }
    }
    if (found != needed) {
      return malformed(outer, fmt::format("tensor \"{}\" holds {} values, its shape needs {}", tensor.name, found, needed));
    }
    return {};
  }

  Status value_info(const Field& outer, ValueInfo& out) {
    return each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return name(field, out.name);
        case 2:
          return each_field(field, [&](const Field& type) -> Status {
            return type.number == 1 ? tensor_type(type, out) : Status();
          });
        default: return {};
      }
    });
  }

  Status tensor_type(const Field& outer, ValueInfo& out) {
    return each_field(outer, [&](const Field& field) -> Status {
      switch (field.number) {
        case 1: return small_integer(field, static_cast<int>(kDataTypes.size()), out.elem_type);
        case 2:
          SMELT_RETURN_IF_ERROR(expect(field, kBytes));
          if (!out.shape) out.shape.emplace();
          return each_field(field.body, [&](const Field& entry) -> Status {
            return entry.number == 1 ? dim(entry, *out.shape) : Status();
          });
        default: return {};
      }
    });
  }

  Status dim(const Field& outer, std::vector<Dim>& shape) {
    SMELT_RETURN_IF_ERROR(expect(outer, kBytes));
    if (shape.size() == limits_.max_rank) {
      return error(ErrorCode::kLimitReached, outer.offset, fmt::format("a rank is over {}", limits_.max_rank));
    }
    return append(outer, shape, [&](Dim& out) {
      return each_field(outer.body, [&](const Field& field) -> Status {
        switch (field.number) {
          case 1: return extent(field, out);
          case 2: return name(field, out.symbol);
          default: return {};
        }
      });
    });
  }

  Status extent(const Field& field, Dim& out) const {
    std::int64_t value = 0;
    SMELT_RETURN_IF_ERROR(integer(field, value));
    if (value < 0) return malformed(field, fmt::format("an extent is {}", value));
    out.extent = value;
    return {};
  }

  const Limits& limits_;
  std::uint64_t nodes_ = 0;
  std::uint64_t structure_bytes_ = 0;
};

/// The name of a well-known format that these bytes are instead of ONNX; empty if none is recognised.
std::string_view other_format(std::span<const std::byte> bytes) {
  const auto starts_with = [&](std::size_t at, std::string_view magic) {
    return bytes.size() >= at + magic.size() && std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
  };
  using namespace std::string_view_literals;
  if (bytes.empty()) return "empty";
  if (starts_with(0, "PK\x03\x04")) return "a zip archive (a PyTorch checkpoint, perhaps)";
  if (starts_with(0, "\x1f\x8b")) return "gzip data";
  if (starts_with(0, "BZh")) return "bzip2 data";
  if (starts_with(0, "\xfd" "7zXZ")) return "xz data";
  if (starts_with(0, "\x28\xb5\x2f\xfd")) return "zstd data";
  if (starts_with(0, "7z\xbc\xaf")) return "a 7z archive";
  if (starts_with(257, "ustar")) return "a tar archive";
  if (starts_with(4, "TFL3")) return "a TFLite model";
  if (starts_with(4, "ORTM")) return "a model in ONNX Runtime's own format";
  if (starts_with(0, "GGUF")) return "a GGUF model";
  if (starts_with(0, "\x93NUMPY")) return "a numpy array";
  if (starts_with(0, "\x89HDF")) return "an HDF5 file (a Keras model, perhaps)";
  if (std::uint64_t length = 0; starts_with(8, "{\"")) {  // a length, then JSON of that length
    std::memcpy(&length, bytes.data(), sizeof(length));
    if (length <= bytes.size() - sizeof(length)) return "a safetensors file";
  }
  for (const std::string_view pickle : {"\x80\x02"sv, "\x80\x03"sv, "\x80\x04"sv, "\x80\x05"sv}) {
    if (starts_with(0, pickle)) return "a Python pickle (a PyTorch checkpoint, perhaps)";
  }
  if (starts_with(0, "version https://git-lfs")) return "a Git LFS pointer (the model itself was not fetched)";
  if (starts_with(0, "<!DOCTYPE html") || starts_with(0, "<!doctype html") || starts_with(0, "<html")) return "an HTML page";
  if (starts_with(0, "<?xml")) return "XML";
  const auto head = bytes.first(std::min<std::size_t>(bytes.size(), 64));
  const bool is_text = std::all_of(head.begin(), head.end(), [](std::byte byte) {
    const int c = std::to_integer<int>(byte);
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
  });
  return is_text && !head.empty() ? "text" : std::string_view();
}

}  // namespace

std::string_view data_type_name(int data_type) {
  if (data_type < 0 || static_cast<std::size_t>(data_type) >= kDataTypes.size()) return kDataTypes[0].name;
  return kDataTypes[static_cast<std::size_t>(data_type)].name;
}

std::uint64_t data_type_bits(int data_type) {
  if (data_type < 0 || static_cast<std::size_t>(data_type) >= kDataTypes.size()) return 0;
  return kDataTypes[static_cast<std::size_t>(data_type)].bits;
}

Result<Model> read_model(std::span<const std::byte> bytes, const std::string& file, const Limits& limits) {
  Result<Model> model = Reader(bytes, file, limits).model();
  if (model.ok()) return model;
  // Only now: an ONNX file may hold any of these magic bytes in a name near its start.
  if (const std::string_view other = other_format(bytes); !other.empty()) {
    return Error(ErrorCode::kNotThisFormat, fmt::format("the file is {}, not an ONNX model", other))
        .at({.file = file})
        .hint("export or unpack it to .onnx first");
  }
  return model;
}

}  // namespace smelt::onnx_format
