#include "ir/op.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace smelt::ir {
namespace {

struct KindName {
  OpKind kind;
  std::string_view name;
};

constexpr std::array kKindNames{
#define SMELT_IR_KIND_NAME(kind, word) KindName{OpKind::kind, word},
    SMELT_IR_OPS(SMELT_IR_KIND_NAME)
#undef SMELT_IR_KIND_NAME
};

constexpr std::array<OpKind, kKindNames.size()> kKinds = [] {
  std::array<OpKind, kKindNames.size()> kinds{};
  for (std::size_t i = 0; i < kinds.size(); ++i) kinds[i] = kKindNames[i].kind;
  return kinds;
}();

/// Appends "name = value", ", " between.
class TextVisitor final : public AttributeVisitor {
 public:
  void visit(std::string_view name, std::int64_t value) override { append(name, fmt::format("{}", value)); }
  void visit(std::string_view name, float value) override { append(name, fmt::format("{}", value)); }
  void visit(std::string_view name, bool value) override { append(name, value ? "true" : "false"); }
  void visit(std::string_view name, std::string_view value) override { append(name, value); }
  void visit(std::string_view name, const std::vector<std::int64_t>& value) override {
    append(name, fmt::format("[{}]", fmt::join(value, ", ")));
  }
  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  void append(std::string_view name, std::string_view value) {
    text_ += fmt::format("{}{} = {}", text_.empty() ? "" : ", ", name, value);
  }
  std::string text_;
};

}  // namespace

std::string_view op_name(OpKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  SMELT_CHECK(index < kKindNames.size());
  return kKindNames[index].name;
}

std::span<const OpKind> all_op_kinds() { return kKinds; }

std::string attributes_text(const Op& op) {
  TextVisitor visitor;
  op.definition().visit(op.attributes(), visitor);
  return std::move(visitor).take();
}

namespace rule {

Error malformed(std::string message) { return Error(ErrorCode::kMalformedInput, std::move(message)); }

Status operands(const InferContext& cx, std::size_t min_count, std::size_t max_count) {
  if (cx.inputs.size() > max_count) {
    return malformed(fmt::format("{} operands, at most {} allowed", cx.inputs.size(), max_count));
  }
  for (std::size_t i = 0; i < min_count; ++i) {
    if (!cx.has(i)) return malformed(fmt::format("operand {} is absent, the first {} are required", i, min_count));
  }
  return {};
}

Status one_dtype(const InferContext& cx) {
  for (std::size_t i = 1; i < cx.inputs.size(); ++i) {
    if (cx.has(i) && cx.input(i).dtype != cx.input(0).dtype) {
      return malformed(fmt::format("operand {} is {}, operand 0 is {}", i, smelt::name(cx.input(i).dtype),
                                   smelt::name(cx.input(0).dtype)));
    }
  }
  return {};
}

Status one_float_dtype(const InferContext& cx) {
  if (!is_float(cx.input(0).dtype)) {
    return malformed(fmt::format("operand 0 is {}, a float is required", smelt::name(cx.input(0).dtype)));
  }
  return one_dtype(cx);
}

Status rank_between(const InferContext& cx, std::size_t index, std::size_t min_rank, std::size_t max_rank) {
  const std::size_t rank = cx.input(index).shape.size();
  if (rank < min_rank || rank > max_rank) {
    const std::string allowed = min_rank == max_rank ? fmt::format("{}", min_rank)
                                : max_rank == SIZE_MAX ? fmt::format("at least {}", min_rank)
                                                       : fmt::format("{} to {}", min_rank, max_rank);
    return malformed(fmt::format("operand {} has rank {}, {} required", index, rank, allowed));
  }
  return {};
}

Status shape_is(const InferContext& cx, std::size_t index, const Shape& shape) {
  const Shape& actual = cx.input(index).shape;
  const bool may_agree = std::equal(actual.begin(), actual.end(), shape.begin(), shape.end(), [](Dim a, Dim b) {
    return compare(a, b) != Comparison::kDifferent;
  });
  if (may_agree) return {};
  return malformed(fmt::format("operand {} has shape {}, {} required", index, cx.symbols.text(actual),
                               cx.symbols.text(shape)));
}

Status axis_in_rank(std::int64_t axis, std::size_t rank) {
  if (axis >= 0 && static_cast<std::size_t>(axis) < rank) return {};
  return malformed(fmt::format("axis {} is not in [0, {})", axis, rank));
}

Status one_per_axis(std::string_view name, std::span<const std::int64_t> values, std::size_t axes, std::int64_t least) {
  if (values.size() != axes) {
    return malformed(fmt::format("{} has {} values for {} spatial axes", name, values.size(), axes));
  }
  for (const std::int64_t value : values) {
    if (value < least) return malformed(fmt::format("{} is {}, at least {} required", name, value, least));
  }
  return {};
}

Status axes_in_rank(std::span<const std::int64_t> axes, std::size_t rank) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    SMELT_RETURN_IF_ERROR(axis_in_rank(axes[i], rank));
    if (i > 0 && axes[i] <= axes[i - 1]) {
      return malformed(fmt::format("axes are not ascending: {} after {}", axes[i], axes[i - 1]));
    }
  }
  return {};
}

}  // namespace rule
}  // namespace smelt::ir
