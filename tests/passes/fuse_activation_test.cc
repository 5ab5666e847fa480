#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

class FuseActivationTest : public testing::Test {
 protected:
  /// Small words for the formulas below.
  ValueId mul(ValueId a, ValueId b) { return b_.node(ir::Mul{}, {a, b}); }
  ValueId mul(ValueId a, float c) { return mul(a, b_.scalar(c)); }
  ValueId mul(float c, ValueId a) { return mul(b_.scalar(c), a); }
  ValueId div(ValueId a, float c) { return b_.node(ir::Div{}, {a, b_.scalar(c)}); }
  ValueId add(ValueId a, ValueId b) { return b_.node(ir::Add{}, {a, b}); }
  ValueId add(ValueId a, float c) { return add(a, b_.scalar(c)); }
  ValueId add(float c, ValueId a) { return add(b_.scalar(c), a); }
  ValueId pow(ValueId a, float c) { return b_.node(ir::Pow{}, {a, b_.scalar(c)}); }
  ValueId erf(ValueId a) { return b_.node(ir::Erf{}, {a}); }
  ValueId tanh(ValueId a) { return b_.node(ir::Tanh{}, {a}); }
  ValueId sigmoid(ValueId a) { return b_.node(ir::Sigmoid{}, {a}); }
  ValueId clip(ValueId a, float min, float max) { return b_.node(ir::Clip{.min = min, .max = max}, {a}); }
  /// An output: a formula of an input of its own.
  template <typename Formula>
  void of_x(const Formula& formula) {
    const ValueId x = b_.input({4, 8});
    b_.output(formula(x));
  }

  /// Every output became one `op`.
  void all_become(const std::string& op) {
    std::string ops;
    for (std::size_t k = 0; k < b_.graph.outputs().size(); ++k) ops += (k == 0 ? "" : ", ") + op;
    expect_optimized(b_.graph, ops);
  }

  GraphBuilder b_;
};

TEST_F(FuseActivationTest, GeluByErf) {
  const float root2 = 1.41421356F;
  of_x([&](ValueId x) { return mul(mul(x, add(erf(div(x, root2)), 1)), 0.5F); });      // TorchScript
  of_x([&](ValueId x) { return mul(x, mul(0.5F, add(erf(div(x, root2)), 1))); });      // dynamo
  of_x([&](ValueId x) { return mul(mul(x, 0.5F), add(1, erf(div(x, root2)))); });
  of_x([&](ValueId x) { return mul(add(1, erf(mul(x, 0.70710678F))), mul(0.5F, x)); });
  of_x([&](ValueId x) { return mul(0.5F, mul(add(erf(mul(0.70710678F, x)), 1), x)); });
  of_x([&](ValueId x) { return div(mul(x, add(erf(div(x, root2)), 1)), 2); });
  of_x([&](ValueId x) { return mul(x, add(mul(erf(div(x, root2)), 0.5F), 0.5F)); });
  of_x([&](ValueId x) { return mul(div(x, 2), add(erf(div(x, root2)), 1)); });
  of_x([&](ValueId x) { return add(mul(x, 0.5F), mul(mul(x, 0.5F), erf(div(x, root2)))); });
  all_become("gelu");
  EXPECT_NE(ir::to_text(b_.graph).find("is_tanh = false"), std::string::npos);
}

TEST_F(FuseActivationTest, GeluByTanh) {
  const float k = 0.79788456F, c = 0.044715F;
  of_x([&](ValueId x) { return mul(mul(x, 0.5F), add(tanh(mul(k, add(x, mul(c, pow(x, 3))))), 1)); });
  of_x([&](ValueId x) { return mul(0.5F, mul(x, add(1, tanh(mul(add(x, mul(mul(x, mul(x, x)), c)), k))))); });
  of_x([&](ValueId x) { return mul(mul(0.5F, x), add(1, tanh(mul(k, add(x, mul(mul(mul(c, x), x), x)))))); });
  of_x([&](ValueId x) { return mul(mul(0.5F, x), add(1, tanh(mul(mul(x, k), add(1, mul(mul(c, x), x)))))); });  // factored out
  of_x([&](ValueId x) { return mul(mul(0.5F, x), add(1, tanh(mul(k, add(x, mul(c, mul(x, pow(x, 2)))))))); });
  all_become("gelu");
  EXPECT_NE(ir::to_text(b_.graph).find("is_tanh = true"), std::string::npos);
}

TEST_F(FuseActivationTest, GeluOfWhatIsComputed) {
  const ValueId sum = add(b_.input({4, 8}), b_.input({4, 8}));
  b_.output(mul(mul(sum, add(erf(div(sum, 1.4142F)), 1)), 0.5F));  // four digits are within 1e-3
  expect_optimized(b_.graph, "add, gelu", 1e-4);
}

TEST_F(FuseActivationTest, GeluInHalves) {
  const ValueId h = b_.input({4, 8}, DType::kF16);
  const auto half = [&](float value) { return b_.full({1}, value, DType::kF16); };
  const ValueId e = b_.node(ir::Erf{}, {b_.node(ir::Div{}, {h, half(1.41421356F)})});
  b_.output(mul(mul(h, add(e, half(1))), half(0.5F)));
  expect_optimized(b_.graph, "gelu", 4e-3);
}

TEST_F(FuseActivationTest, KeepsNearGelus) {
  const float root2 = 1.41421356F;
  of_x([&](ValueId x) { return mul(mul(x, add(erf(div(x, 1.42F)), 1)), 0.5F); });
  of_x([&](ValueId x) { return mul(mul(x, add(erf(div(x, root2)), 1)), 0.51F); });
  of_x([&](ValueId x) { return mul(mul(x, add(erf(div(x, root2)), 1.01F)), 0.5F); });
  of_x([&](ValueId x) { return mul(mul(x, add(erf(div(b_.input({4, 8}), root2)), 1)), 0.5F); });
  of_x([&](ValueId x) { return mul(mul(x, 0.5F), add(tanh(mul(0.79788456F, add(x, mul(0.045F, pow(x, 3))))), 1)); });
  of_x([&](ValueId x) { return mul(mul(x, 0.5F), add(tanh(mul(0.79788456F, add(x, mul(0.044715F, pow(x, 2))))), 1)); });
  const std::string by_erf = "div, erf, add, mul, mul";
  const std::string by_tanh = "mul, pow, mul, add, mul, tanh, add, mul";
  expect_optimized(b_.graph, by_erf + ", " + by_erf + ", " + by_erf + ", " + by_erf + ", " + by_tanh + ", " + by_tanh);
}

TEST_F(FuseActivationTest, KeepsAGeluWhoseMiddleIsUsed) {
  of_x([&](ValueId x) {
    const ValueId middle = erf(div(x, 1.41421356F));
    b_.output(middle);
    return mul(mul(x, add(middle, 1)), 0.5F);
  });
  of_x([&](ValueId x) {
    const ValueId sum = add(erf(div(x, 1.41421356F)), 1);
    b_.output(b_.node(ir::Exp{}, {sum}));
    return mul(mul(x, sum), 0.5F);
  });
  expect_optimized(b_.graph, "div, erf, add, mul, mul, div, erf, add, mul, mul, exp");
}

TEST_F(FuseActivationTest, KeepsAGeluThatBroadcasts) {
  const ValueId half = b_.full({1, 1, 1}, 0.5F);
  of_x([&](ValueId x) { return mul(mul(x, add(erf(div(x, 1.41421356F)), 1)), half); });
  expect_optimized(b_.graph, "div, erf, add, mul, mul");
}

TEST_F(FuseActivationTest, Silu) {
  of_x([&](ValueId x) { return mul(x, sigmoid(x)); });
  of_x([&](ValueId x) { return mul(sigmoid(x), x); });
  const Dim n = b_.graph.symbols().symbol("n");
  const ValueId open = b_.input({n, 3});
  b_.output(mul(open, sigmoid(open)));
  all_become("silu");
}

TEST_F(FuseActivationTest, KeepsNearSilus) {
  of_x([&](ValueId x) { return mul(x, sigmoid(b_.input({4, 8}))); });
  of_x([&](ValueId x) { return mul(x, sigmoid(mul(1.702F, x))); });
  of_x([&](ValueId x) { return mul(x, tanh(x)); });
  of_x([&](ValueId x) {
    const ValueId twice = sigmoid(x);
    b_.output(twice);
    return mul(x, twice);
  });
  expect_optimized(b_.graph, "sigmoid, mul, mul, sigmoid, mul, tanh, mul, sigmoid, mul");
}

TEST_F(FuseActivationTest, HardSwish) {
  const auto hard_sigmoid = [&](ValueId a, float alpha, float beta) {
    return b_.node(ir::HardSigmoid{.alpha = alpha, .beta = beta}, {a});
  };
  of_x([&](ValueId x) { return mul(x, hard_sigmoid(x, 0.16666667F, 0.5F)); });
  of_x([&](ValueId x) { return mul(hard_sigmoid(x, 1.0F / 6, 0.5F), x); });
  of_x([&](ValueId x) { return div(mul(x, clip(add(x, 3), 0, 6)), 6); });
  of_x([&](ValueId x) { return mul(mul(x, clip(add(3, x), 0, 6)), 1.0F / 6); });
  of_x([&](ValueId x) { return mul(x, div(clip(add(x, 3), 0, 6), 6)); });
  of_x([&](ValueId x) { return mul(mul(0.16666667F, x), clip(add(x, 3), 0, 6)); });
  of_x([&](ValueId x) { return mul(x, clip(add(div(x, 6), 0.5F), 0, 1)); });
  all_become("hard_swish");
}

TEST_F(FuseActivationTest, KeepsNearHardSwishes) {
  of_x([&](ValueId x) { return mul(x, b_.node(ir::HardSigmoid{.alpha = 0.2F, .beta = 0.5F}, {x})); });
  of_x([&](ValueId x) { return div(mul(x, clip(add(x, 3), 0, 6)), 5); });
  of_x([&](ValueId x) { return div(mul(x, clip(add(x, 2), 0, 6)), 6); });
  of_x([&](ValueId x) { return div(mul(x, clip(add(x, 3), -1, 6)), 6); });
  of_x([&](ValueId x) { return div(mul(x, clip(add(x, 3), 0, 5)), 6); });
  of_x([&](ValueId x) { return div(mul(x, clip(add(b_.input({4, 8}), 3), 0, 6)), 6); });
  const std::string by_clip = ", add, clip, mul, div";
  expect_optimized(b_.graph, "hard_sigmoid, mul" + by_clip + by_clip + by_clip + by_clip + by_clip);
}

}  // namespace
}  // namespace smelt::passes
