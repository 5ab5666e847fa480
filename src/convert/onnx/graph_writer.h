#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "base/proto_writer.h"
#include "smelt/result.h"
#include "tensor/constant.h"
#include "tensor/dtype.h"

namespace smelt::onnx_format {

/// The folder of an exported model holds this file, and the other one for its larger constants.
inline constexpr std::string_view kModelFile = "model.onnx";
inline constexpr std::string_view kDataFile = "model.onnx.data";

/// An ONNX attribute to write; the type follows the alternative.
struct AttributeValue {
  std::string_view name;
  std::variant<std::int64_t, float, std::string_view, std::vector<std::int64_t>> value;
};
using AttributeValues = std::vector<AttributeValue>;

/// A GraphProto under construction. Value names are strings; an empty one is an absent operand.
class GraphWriter {
 public:
  /// Bytes that stand in the data file.
  struct DataRange {
    std::uint64_t offset = 0;
    BytesRef bytes;
  };

  /// `reserved`: names that `fresh` must not give.
  explicit GraphWriter(std::unordered_set<std::string> reserved) : reserved_(std::move(reserved)) {}

  /// "v0", "v1", ...: a name that nothing has.
  [[nodiscard]] std::string fresh();

  void node(std::string_view op_type, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
            const AttributeValues& attributes = {});
  /// The same with one output, whose new name is returned.
  std::string add(std::string_view op_type, const std::vector<std::string>& inputs, const AttributeValues& attributes = {});

  /// An initializer, in the data file if it has 1024 bytes or more. Reads a smaller one.
  [[nodiscard]] Status constant(const std::string& name, const Constant& constant);
  /// New int64 initializer of rank 1.
  [[nodiscard]] Result<std::string> integers(const std::vector<std::int64_t>& values);
  /// New initializer, every element `value`, of a float dtype.
  [[nodiscard]] Result<std::string> filled(DType dtype, const std::vector<std::int64_t>& shape, float value);

  void input(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape);
  void output(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape);

  /// The whole ModelProto.
  [[nodiscard]] std::string model(const std::string& graph_name) const;
  /// By ascending offset, each a multiple of 64; the gaps are zeros.
  [[nodiscard]] const std::vector<DataRange>& data_ranges() const { return data_ranges_; }

 private:
  std::unordered_set<std::string> reserved_;
  std::uint64_t next_name_ = 0;
  ProtoWriter nodes_, initializers_, inputs_, outputs_;
  std::vector<DataRange> data_ranges_;
  std::uint64_t data_end_ = 0;
};

}  // namespace smelt::onnx_format
