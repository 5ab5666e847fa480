#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convert/coreml/mil.h"
#include "convert/coreml/names.h"
#include "convert/coreml/weight_blob.h"
#include "ir/graph.h"
#include "ir/ops/all.h"
#include "smelt/result.h"

namespace smelt::coreml_format {

/// What a package is made for. The numbers are the iOS release's.
enum class Target { kIos15 = 15, kIos16 = 16, kIos17 = 17, kIos18 = 18 };
[[nodiscard]] std::string_view target_name(Target target);                          ///< "ios16"
[[nodiscard]] std::optional<Target> parse_target(std::string_view text);
[[nodiscard]] int specification_version(Target target);                             ///< 6 to 9
[[nodiscard]] std::string_view opset_name(Target target);                           ///< "CoreML5" to "CoreML8"

[[nodiscard]] MilDataType to_mil(DType dtype);              ///< legalized dtypes only (f16, f32, i8, u8, i32, bool)
[[nodiscard]] std::optional<DType> from_mil(MilDataType type);
[[nodiscard]] MilType to_mil(const TensorType& type);       ///< static shapes only

/// A weight that goes to weight.bin, in file order.
struct PlannedBlob {
  BytesRef bytes;
};

/// The function under construction. Parameters are constants of their own, emitted before their first use and shared where
/// equal; weights are constants too, in weight.bin where Apple's converter would put them (10 elements or more of a float or
/// 8-bit type; of 32-bit integers from iOS 18 on).
class FunctionBuilder {
 public:
  FunctionBuilder(const ir::Graph& graph, Target target) : graph_(graph), target_(target) {}

  [[nodiscard]] Target target() const { return target_; }
  [[nodiscard]] const ir::Graph& graph() const { return graph_; }
  [[nodiscard]] NameTable& names() { return names_; }
  [[nodiscard]] MilBlock& block() { return block_; }
  [[nodiscard]] const BlobLayout& layout() const { return layout_; }
  [[nodiscard]] const std::vector<PlannedBlob>& blobs() const { return blobs_; }

  /// The name under which the program knows a value; a constant is emitted at its first use.
  [[nodiscard]] Result<std::string> name_of(ir::ValueId id);
  void bind(ir::ValueId id, std::string name) { names_of_[id] = std::move(name); }

  /// A constant's value: immediate, or planned for weight.bin.
  [[nodiscard]] Result<MilValue> weight_value(const Constant& constant);
  /// The name of a constant op that holds `value`; equal values share one.
  [[nodiscard]] std::string parameter(std::string_view hint, MilValue value);
  /// Adds a constant op of its own and gives its name, `hint` made unique.
  [[nodiscard]] std::string add_constant(std::string_view hint, MilValue value);
  void add(MilOperation operation) { block_.operations.push_back(std::move(operation)); }

 private:
  const ir::Graph& graph_;
  Target target_;
  NameTable names_;
  MilBlock block_;
  BlobLayout layout_;
  std::vector<PlannedBlob> blobs_;
  std::map<ir::ValueId, std::string> names_of_;
  std::map<std::string, std::string> parameters_;  ///< key of the value → name
};

[[nodiscard]] MilValue string_value(std::string_view text);
[[nodiscard]] MilValue bool_value(bool value);
[[nodiscard]] MilValue int_value(std::int32_t value);
[[nodiscard]] MilValue ints_value(std::span<const std::int64_t> values);  ///< int32 [n]; each must fit
[[nodiscard]] MilValue bools_value(const std::vector<bool>& values);
[[nodiscard]] MilValue float_value(DType dtype, double value);            ///< scalar f16 or f32

/// What the lowering of one node sees and does.
class LowerContext {
 public:
  using Inputs = std::vector<std::pair<std::string, std::string>>;  ///< parameter → value name

  LowerContext(FunctionBuilder& builder, const ir::Node& node, std::string hint) : builder_(builder), node_(node), hint_(std::move(hint)) {}

  [[nodiscard]] Target target() const { return builder_.target(); }
  [[nodiscard]] const ir::Node& node() const { return node_; }
  [[nodiscard]] bool has(std::size_t k) const { return k < node_.inputs.size() && node_.inputs[k].valid(); }
  [[nodiscard]] const TensorType& type(std::size_t k) const { return builder_.graph().value(node_.inputs[k]).type; }
  [[nodiscard]] const TensorType& result_type(std::size_t k = 0) const { return builder_.graph().value(node_.outputs[k]).type; }
  [[nodiscard]] const ConstantRef& constant(std::size_t k) const { return builder_.graph().value(node_.inputs[k]).constant; }
  /// Whether MIL sees operand k as known at compile time: a constant, or a compressed one.
  [[nodiscard]] bool is_known(std::size_t k) const;
  [[nodiscard]] Result<std::string> in(std::size_t k) { return builder_.name_of(node_.inputs[k]); }
  [[nodiscard]] FunctionBuilder& builder() { return builder_; }

  [[nodiscard]] std::string param(std::string_view name, MilValue value) { return builder_.parameter(hint_ + "_" + std::string(name), std::move(value)); }

  /// Adds the operation that gives result 0 (or all of them), under its own name.
  void emit(std::string_view type, const Inputs& inputs);
  void emit(std::string_view type, std::map<std::string, std::vector<MilBinding>> inputs);
  /// Adds an operation in between and returns the name of its result.
  [[nodiscard]] std::string step(std::string_view type, const Inputs& inputs, const TensorType& result);
  /// The same for an operation with tuples.
  [[nodiscard]] std::string tuple_step(std::string_view type, std::map<std::string, std::vector<MilBinding>> inputs, const TensorType& result);

  [[nodiscard]] Error unsupported(std::string message) const;

 private:
  FunctionBuilder& builder_;
  const ir::Node& node_;
  std::string hint_;
};

using Lower = Status (*)(const ir::Op& op, LowerContext& cx);

/// The lowering of an op; every kind has one (a test says so). It may refuse with kNotRepresentable.
[[nodiscard]] Lower find_lowering(ir::OpKind kind);

struct LoweringRow {
  ir::OpKind kind;
  Lower lower;
};

class LiftContext;
using Lift = Status (*)(LiftContext& cx);
struct LiftRow {
  std::string_view type;
  Lift lift;
};
[[nodiscard]] Lift find_lift(std::string_view mil_type);  ///< nullptr when there is none

// One pair of tables for each family, in convert/coreml/ops/<family>.cc: the two directions side by side.
[[nodiscard]] std::span<const LoweringRow> attention_lowerings();
[[nodiscard]] std::span<const LoweringRow> conv_lowerings();
[[nodiscard]] std::span<const LoweringRow> elementwise_lowerings();
[[nodiscard]] std::span<const LoweringRow> matmul_lowerings();
[[nodiscard]] std::span<const LoweringRow> norm_lowerings();
[[nodiscard]] std::span<const LoweringRow> pool_lowerings();
[[nodiscard]] std::span<const LoweringRow> quant_lowerings();
[[nodiscard]] std::span<const LoweringRow> reduce_lowerings();
[[nodiscard]] std::span<const LoweringRow> rnn_lowerings();
[[nodiscard]] std::span<const LoweringRow> resample_lowerings();
[[nodiscard]] std::span<const LoweringRow> shape_lowerings();
[[nodiscard]] std::span<const LiftRow> attention_lifts();
[[nodiscard]] std::span<const LiftRow> conv_lifts();
[[nodiscard]] std::span<const LiftRow> elementwise_lifts();
[[nodiscard]] std::span<const LiftRow> matmul_lifts();
[[nodiscard]] std::span<const LiftRow> norm_lifts();
[[nodiscard]] std::span<const LiftRow> pool_lifts();
[[nodiscard]] std::span<const LiftRow> quant_lifts();
[[nodiscard]] std::span<const LiftRow> reduce_lifts();
[[nodiscard]] std::span<const LiftRow> rnn_lifts();
[[nodiscard]] std::span<const LiftRow> resample_lifts();
[[nodiscard]] std::span<const LiftRow> shape_lifts();

}  // namespace smelt::coreml_format
