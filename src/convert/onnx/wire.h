#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "smelt/result.h"

/// ONNX files as they are on the wire: a plain skeleton of the model, every payload left in the file.
namespace smelt::onnx_format {

/// What a file may ask for. Reaching a bound is `kLimitReached`.
struct Limits {
  std::uint64_t max_nodes = 4'000'000;                             ///< in all graphs together
  std::uint64_t max_name_bytes = std::uint64_t{64} << 10;          ///< of one name, symbol, operator type or domain
  std::uint64_t max_structure_bytes = std::uint64_t{256} << 20;  ///< of all structs and names; growing lists may
                                                                 ///< take up to three times that for a moment
  std::size_t max_rank = 32;
  std::size_t max_operands = 65'536;                               ///< inputs, and outputs, of one node
  std::size_t max_graph_outputs = 16'384;
  int max_graph_depth = 64;                                        ///< graphs inside graphs
};

/// An extent that is known, a symbol ("batch"), or neither.
struct Dim {
  std::optional<std::int64_t> extent;
  std::string symbol;
};

struct ValueInfo {
  std::string name;
  int elem_type = 0;                       ///< ONNX TensorProto.DataType; 0 when absent or not a tensor
  std::optional<std::vector<Dim>> shape;   ///< absent: unknown rank; empty: a scalar
};

/// Bytes of the input, never copied.
struct Payload {
  std::uint64_t offset = 0;  ///< from the start of the file
  std::uint64_t length = 0;
};

struct Tensor {
  std::string name;
  int data_type = 0;                 ///< ONNX TensorProto.DataType, checked to be a known one
  std::vector<std::int64_t> dims;    ///< each >= 0; empty: a scalar
  std::uint64_t element_count = 1;   ///< product of dims, cannot have wrapped
  bool is_external = false;          ///< data_location EXTERNAL: the bytes are in another file
  std::string external_location;     ///< as written, not checked: a path from a stranger
  std::uint64_t external_offset = 0;  ///< as written, at most 2^63 - 1; not compared with any file
  std::optional<std::uint64_t> external_length;  ///< absent: what dims and data_type ask for
  int payload_field = 0;             ///< TensorProto field that holds the data: 9 is raw_data; 0 none
  /// Runs of that field, in order. Joined, they are the field's packed form: an element that stood alone is a run of its own.
  /// Together they hold exactly the elements that dims and data_type ask for. Of string_data, a run is a string.
  std::vector<Payload> payloads;
};

struct Graph;

struct Attribute {
  std::string name;
  int type = 0;  ///< AttributeProto.AttributeType; proto3 writers leave out a value that is zero or empty
  std::optional<float> f;
  std::optional<std::int64_t> i;
  std::optional<std::string> s;  ///< any bytes
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string> strings;
  std::string ref_attr_name;     ///< in functions: the value is the caller's attribute of this name
  std::optional<Tensor> tensor;  ///< of a TENSOR attribute; TENSORS, sparse tensors and types are not read
  std::vector<Graph> graphs;  ///< of a GRAPH or GRAPHS attribute
};

struct Node {
  std::string name, op_type, domain;
  std::vector<std::string> inputs, outputs;  ///< an empty name is an absent operand
  std::vector<Attribute> attributes;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<ValueInfo> inputs, outputs;
  std::vector<ValueInfo> value_infos;    ///< hints for the values between
  bool has_sparse_initializers = false;  ///< which are not read
};

struct OpsetImport {
  std::string domain;
  std::int64_t version = 0;
};

struct Model {
  std::int64_t ir_version = 0;
  std::string producer_name, producer_version;
  std::vector<OpsetImport> opset_imports;
  Graph graph;
  bool has_functions = false;  ///< model-local functions, which are not read
};

/// Reads the structure of an ONNX file. `file` is for messages only. Memory follows the structure, not the weights.
/// Source of the numbers: onnx.proto of IR 13; what protobuf lets pass and we refuse: groups, tag 0, a known field of
/// another wire type, a graph given twice, varints over 64 bits, data of another size or member than dims and type say.
[[nodiscard]] Result<Model> read_model(std::span<const std::byte> bytes, const std::string& file, const Limits& limits);

/// "float32" for 1; "unknown" for a number that ONNX does not define.
[[nodiscard]] std::string_view data_type_name(int data_type);

/// Bits of one element; 0 for strings and for unknown types.
[[nodiscard]] std::uint64_t data_type_bits(int data_type);

}  // namespace smelt::onnx_format
