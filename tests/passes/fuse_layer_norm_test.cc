#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

constexpr ir::ReduceFunction kMean = ir::ReduceFunction::kMean;

/// The decomposed form, with what may differ.
struct Decomposed {
  std::vector<std::int64_t> axes = {2}, variance_axes = {2};
  bool is_mul = false, is_reciprocal = false, is_swapped = false;
  float power = 2, epsilon = 1e-5F;
  DType dtype = DType::kF32;
};

class FuseLayerNormTest : public testing::Test {
 protected:
  ValueId decomposed(ValueId x, const Decomposed& form) {
    mean_ = b_.node(ir::Reduce{.function = kMean, .axes = form.axes}, {x});
    difference_ = b_.node(ir::Sub{}, {x, mean_});
    const ValueId square = form.is_mul ? b_.node(ir::Mul{}, {difference_, difference_})
                                       : b_.node(ir::Pow{}, {difference_, b_.full({}, form.power, form.dtype)});
    const ValueId variance = b_.node(ir::Reduce{.function = kMean, .axes = form.variance_axes}, {square});
    const ValueId epsilon = b_.full({1}, form.epsilon, form.dtype);
    const ValueId sum = b_.node(ir::Add{}, form.is_swapped ? std::vector{epsilon, variance} : std::vector{variance, epsilon});
    deviation_ = b_.node(ir::Sqrt{}, {sum});
    if (!form.is_reciprocal) return b_.node(ir::Div{}, {difference_, deviation_});
    const ValueId inverse = b_.node(ir::Reciprocal{}, {deviation_});
    return b_.node(ir::Mul{}, form.is_swapped ? std::vector{inverse, difference_} : std::vector{difference_, inverse});
  }

  GraphBuilder b_;
  ValueId mean_, difference_, deviation_;
};

TEST_F(FuseLayerNormTest, FusesEveryForm) {
  std::string ops;
  for (const bool is_mul : {false, true}) {
    for (const bool is_reciprocal : {false, true}) {
      for (const bool is_swapped : {false, true}) {
        b_.output(decomposed(b_.input({2, 3, 8}), {.is_mul = is_mul, .is_reciprocal = is_reciprocal, .is_swapped = is_swapped}));
        ops += ops.empty() ? "layer_norm" : ", layer_norm";
      }
    }
  }
  expect_optimized(b_.graph, ops);
}

TEST_F(FuseLayerNormTest, TakesSeveralLastAxes) {
  b_.output(decomposed(b_.input({2, 3, 8}), {.axes = {1, 2}, .variance_axes = {1, 2}}));
  expect_optimized(b_.graph, "layer_norm");
  EXPECT_NE(ir::to_text(b_.graph).find("axis = 1, epsilon = 1e-05"), std::string::npos) << ir::to_text(b_.graph);
}

TEST_F(FuseLayerNormTest, TakesHalves) {
  b_.output(decomposed(b_.input({2, 3, 8}, DType::kF16), {.epsilon = 1e-3F, .dtype = DType::kF16}));
  expect_optimized(b_.graph, "layer_norm", 4e-3);
}

TEST_F(FuseLayerNormTest, TakesOpenExtents) {
  const Dim n = b_.graph.symbols().symbol("n");
  b_.output(decomposed(b_.input({n, 3, 8}), {}));
  expect_optimized(b_.graph, "layer_norm");
}

TEST_F(FuseLayerNormTest, TakesGammaAndBeta) {
  for (const bool is_swapped : {false, true}) {
    const auto pair = [&](ValueId a, ValueId b) { return is_swapped ? std::vector{b, a} : std::vector{a, b}; };
    const ValueId scaled = b_.node(ir::Mul{}, pair(decomposed(b_.input({2, 3, 8}), {}), b_.random({8})));
    b_.output(b_.node(ir::Add{}, pair(scaled, b_.random({1, 1, 8}))));
    const ValueId norm = b_.node(ir::LayerNorm{.axis = 1}, {b_.input({2, 3, 8})});
    b_.output(b_.node(ir::Add{}, pair(norm, b_.random({3, 8}))));
  }
  expect_optimized(b_.graph, "layer_norm, layer_norm, layer_norm, layer_norm");
}

TEST_F(FuseLayerNormTest, KeepsParametersThatDoNotFit) {
  const auto norm = [&] { return b_.node(ir::LayerNorm{.axis = 2}, {b_.input({2, 3, 8}), b_.random({8}), b_.random({8})}); };
  const auto plain = [&] { return b_.node(ir::LayerNorm{.axis = 2}, {b_.input({2, 3, 8})}); };
  b_.output(b_.node(ir::Mul{}, {norm(), b_.random({8})}));
  b_.output(b_.node(ir::Add{}, {norm(), b_.random({8})}));
  b_.output(b_.node(ir::Mul{}, {plain(), b_.random({1})}));
  b_.output(b_.node(ir::Mul{}, {plain(), b_.random({3, 8})}));
  b_.output(b_.node(ir::Mul{}, {plain(), b_.input({8})}));
  const ValueId twice = plain();
  b_.output(twice);
  b_.output(b_.node(ir::Mul{}, {twice, b_.random({8})}));
  b_.output(b_.node(ir::Mul{}, {b_.node(ir::Add{}, {plain(), b_.random({8})}), b_.random({8})}));  // beta before gamma
  expect_optimized(b_.graph,
                   "layer_norm, mul, layer_norm, add, layer_norm, mul, layer_norm, mul, layer_norm, mul, layer_norm, mul, "
                   "layer_norm, mul");
}

TEST_F(FuseLayerNormTest, KeepsOtherForms) {
  const std::string kept = "reduce, sub, pow, reduce, add, sqrt, div";
  b_.output(decomposed(b_.input({2, 3, 8}), {.axes = {1}, .variance_axes = {1}}));       // not the last axis
  b_.output(decomposed(b_.input({2, 3, 8}), {.axes = {2}, .variance_axes = {1}}));       // over different axes
  b_.output(decomposed(b_.input({2, 3, 8}), {.axes = {0, 2}, .variance_axes = {0, 2}}));  // not consecutive
  b_.output(decomposed(b_.input({2, 3, 8}), {.power = 4}));
  b_.output(decomposed(b_.input({2, 3, 8}), {.epsilon = -1e-5F}));
  expect_optimized(b_.graph, kept + ", " + kept + ", " + kept + ", " + kept + ", " + kept);
}

TEST_F(FuseLayerNormTest, KeepsWhatIsUsedElsewhere) {
  std::string ops;
  for (const std::size_t which : {0U, 1U, 2U}) {
    b_.output(decomposed(b_.input({2, 3, 8}), {}));
    b_.output(std::vector{mean_, difference_, deviation_}[which]);
    ops += (ops.empty() ? "" : ", ") + std::string("reduce, sub, pow, reduce, add, sqrt, div");
  }
  expect_optimized(b_.graph, ops);
}

TEST_F(FuseLayerNormTest, KeepsTheMeanOfAnother) {
  const ValueId x = b_.input({2, 3, 8}), other = b_.input({2, 3, 8});
  const ValueId d = b_.node(ir::Sub{}, {x, b_.node(ir::Reduce{.function = kMean, .axes = {2}}, {other})});
  const ValueId v = b_.node(ir::Reduce{.function = kMean, .axes = {2}}, {b_.node(ir::Mul{}, {d, d})});
  b_.output(b_.node(ir::Div{}, {d, b_.node(ir::Sqrt{}, {b_.node(ir::Add{}, {v, b_.scalar(1e-5F)})})}));
  expect_optimized(b_.graph, "reduce, sub, mul, reduce, add, sqrt, div");
}

}  // namespace
}  // namespace smelt::passes
