#include <functional>
#include <limits>

#include "passes/graph_builder.h"

namespace smelt::passes {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Two heads, three queries, five keys of four elements, values of six.
struct Heads {
  GraphBuilder b;
  ValueId q = b.input({1, 2, 3, 4}), k = b.input({1, 2, 5, 4}), v = b.input({1, 2, 5, 6});

  ValueId scores(ValueId query, ValueId key) { return b.node(ir::MatMul{.transpose_y = true}, {query, key}); }
  ValueId weights(ValueId scores) { return b.node(ir::Softmax{.axis = 3}, {scores}); }
  ValueId result(ValueId scores) { return b.node(ir::MatMul{}, {weights(scores), v}); }
};

const ir::Node& only_attention(const ir::Graph& graph) {
  const ir::Node* found = nullptr;
  for (const ir::NodeId id : graph.topological_order()) {
    if (graph.node(id).op.kind() != ir::OpKind::kAttention) continue;
    EXPECT_EQ(found, nullptr) << "two";
    found = &graph.node(id);
  }
  SMELT_CHECK(found != nullptr);
  return *found;
}

float scale_of(const ir::Graph& graph) { return only_attention(graph).op.as<ir::Attention>()->scale; }

TEST(FuseAttention, WithoutScaleAndMask) {
  Heads h;
  h.b.output(h.result(h.scores(h.q, h.k)));
  expect_optimized(h.b.graph, "attention");
  EXPECT_EQ(scale_of(h.b.graph), 1.0F);
}

TEST(FuseAttention, AScaleAnywhere) {
  using Make = std::function<ValueId(Heads&)>;
  const std::vector<std::pair<std::string, Make>> forms = {
      {"the product, div", [](Heads& h) { return h.b.node(ir::Div{}, {h.scores(h.q, h.k), h.b.scalar(2)}); }},
      {"the product, mul", [](Heads& h) { return h.b.node(ir::Mul{}, {h.b.scalar(0.5), h.scores(h.q, h.k)}); }},
      {"the query", [](Heads& h) { return h.scores(h.b.node(ir::Mul{}, {h.q, h.b.full({1}, 0.5)}), h.k); }},
      {"the key", [](Heads& h) { return h.scores(h.q, h.b.node(ir::Div{}, {h.k, h.b.scalar(2)})); }},
      {"a root on both", [](Heads& h) { return h.scores(h.b.node(ir::Mul{}, {h.q, h.b.scalar(0.25)}), h.b.node(ir::Mul{}, {h.k, h.b.scalar(2)})); }},
      {"twice", [](Heads& h) { return h.b.node(ir::Div{}, {h.b.node(ir::Mul{}, {h.scores(h.q, h.k), h.b.scalar(2)}), h.b.scalar(4)}); }},
  };
  for (const auto& [what, make] : forms) {
    SCOPED_TRACE(what);
    Heads h;
    h.b.output(h.result(make(h)));
    expect_optimized(h.b.graph, "attention");
    EXPECT_EQ(scale_of(h.b.graph), 0.5F);
  }
}

TEST(FuseAttention, AKeyTransposedByItsExporter) {
  Heads h;
  const ValueId heads = h.b.input({1, 5, 2, 4});
  const ValueId key = h.b.node(ir::Transpose{.perm = {0, 2, 3, 1}}, {heads});
  h.b.output(h.result(h.b.node(ir::MatMul{}, {h.q, h.b.node(ir::Mul{}, {key, h.b.scalar(0.5)})})));
  expect_optimized(h.b.graph, "transpose, attention");
  EXPECT_EQ(scale_of(h.b.graph), 0.5F);
}

TEST(FuseAttention, AMaskThatIsAdded) {
  for (const Shape& shape : {Shape{1, 1, 1, 5}, Shape{1, 2, 3, 5}, Shape{3, 5}, Shape{5}, Shape{3, 1}}) {
    for (const bool is_first : {true, false}) {
      Heads h;
      const ValueId scores = h.b.node(ir::Mul{}, {h.scores(h.q, h.k), h.b.scalar(0.5)}), mask = h.b.input(shape);
      h.b.output(h.result(is_first ? h.b.node(ir::Add{}, {mask, scores}) : h.b.node(ir::Add{}, {scores, mask})));
      expect_optimized(h.b.graph, "attention");
      EXPECT_EQ(only_attention(h.b.graph).inputs[3], mask);
    }
  }
}

TEST(FuseAttention, AMaskThatIsWrittenOver) {
  for (const float masked_out : {-kInfinity, -std::numeric_limits<float>::max()}) {
    for (const bool keeps_where_true : {true, false}) {
      Heads h;
      const ValueId scores = h.scores(h.q, h.k), number = h.b.scalar(masked_out);
      const ValueId condition = h.b.node(ir::Less{}, {h.b.input({1, 1, 3, 5}), h.b.scalar(keeps_where_true ? 1.0F : -1.0F)});
      h.b.output(h.result(keeps_where_true ? h.b.node(ir::Where{}, {condition, scores, number}) : h.b.node(ir::Where{}, {condition, number, scores})));
      expect_optimized(h.b.graph, "less, where, attention");
    }
  }
}

TEST(FuseAttention, AZeroMaskAndAnExpandedOneAreDropped) {
  Heads zeros;
  zeros.b.output(zeros.b.node(ir::Attention{.scale = 0.5F}, {zeros.q, zeros.k, zeros.v, zeros.b.full({1, 1, 3, 5}, 0)}));
  expect_optimized(zeros.b.graph, "attention");
  EXPECT_EQ(only_attention(zeros.b.graph).inputs.size(), 3U);
  Heads expanded;
  const ValueId mask = expanded.b.input({1, 1, 1, 5});
  expanded.b.output(expanded.b.node(ir::Attention{.scale = 0.5F}, {expanded.q, expanded.k, expanded.v, expanded.b.node(ir::Expand{.shape = {1, 2, 3, 5}}, {mask})}));
  expect_optimized(expanded.b.graph, "attention");
  EXPECT_EQ(only_attention(expanded.b.graph).inputs[3], mask);
}

TEST(FuseAttention, NearMisses) {
  using Build = std::function<void(Heads&)>;
  const std::vector<std::tuple<std::string, std::string, Build>> cases = {
      {"a softmax over another axis", "matmul, softmax, matmul",
       [](Heads& h) { h.b.output(h.b.node(ir::MatMul{}, {h.b.node(ir::Softmax{.axis = 2}, {h.scores(h.q, h.k)}), h.v})); }},
      {"weights that are a result too", "matmul, softmax, matmul",
       [](Heads& h) {
         const ValueId weights = h.weights(h.scores(h.q, h.k));
         h.b.output(weights);
         h.b.output(h.b.node(ir::MatMul{}, {weights, h.v}));
       }},
      {"scores that are a result too", "matmul, softmax, matmul",
       [](Heads& h) {
         const ValueId scores = h.scores(h.q, h.k);
         h.b.output(scores);
         h.b.output(h.result(scores));
       }},
      {"unmasked scores that are used elsewhere", "matmul, add, softmax, matmul",
       [](Heads& h) {
         const ValueId scores = h.scores(h.q, h.k);
         h.b.output(scores);
         h.b.output(h.result(h.b.node(ir::Add{}, {scores, h.b.input({5})})));
       }},
      {"a scale for each head", "matmul, mul, softmax, matmul",
       [](Heads& h) { h.b.output(h.result(h.b.node(ir::Mul{}, {h.scores(h.q, h.k), h.b.random({2, 1, 1})}))); }},
      {"a negative scale", "matmul, mul, softmax, matmul", [](Heads& h) { h.b.output(h.result(h.b.node(ir::Mul{}, {h.scores(h.q, h.k), h.b.scalar(-1)}))); }},
      {"a mask before the scale", "matmul, add, mul, softmax, matmul",
       [](Heads& h) { h.b.output(h.result(h.b.node(ir::Mul{}, {h.b.node(ir::Add{}, {h.scores(h.q, h.k), h.b.input({5})}), h.b.scalar(0.5)}))); }},
      {"a finite number written over", "less, matmul, where, softmax, matmul",
       [](Heads& h) {
         const ValueId condition = h.b.node(ir::Less{}, {h.b.input({1, 1, 3, 5}), h.b.scalar(0)});
         h.b.output(h.result(h.b.node(ir::Where{}, {condition, h.scores(h.q, h.k), h.b.scalar(-10000)})));
       }},
      {"a mask that broadcasts the scores", "matmul, add, softmax, matmul",
       [](Heads& h) {
         const ValueId q = h.b.input({1, 1, 3, 4}), k = h.b.input({1, 1, 5, 4});
         h.b.output(h.result(h.b.node(ir::Add{}, {h.scores(q, k), h.b.input({2, 3, 5})})));
       }},
      {"keys that the heads share", "matmul, softmax, matmul", [](Heads& h) { h.b.output(h.result(h.scores(h.q, h.b.input({1, 1, 5, 4})))); }},
      {"a key that is [*B, E, S]", "matmul, softmax, matmul", [](Heads& h) { h.b.output(h.result(h.b.node(ir::MatMul{}, {h.q, h.b.input({1, 2, 4, 5})}))); }},
      {"a constant key", "matmul, softmax, matmul", [](Heads& h) { h.b.output(h.result(h.scores(h.q, h.b.random({1, 2, 5, 4})))); }},
      {"a guard against rows without a key", "matmul, softmax, is_nan, where, matmul",
       [](Heads& h) {
         const ValueId weights = h.weights(h.scores(h.q, h.k));
         h.b.output(h.b.node(ir::MatMul{}, {h.b.node(ir::Where{}, {h.b.node(ir::IsNan{}, {weights}), h.b.scalar(0), weights}), h.v}));
       }},
      {"a transposed query", "matmul, softmax, matmul",
       [](Heads& h) { h.b.output(h.result(h.b.node(ir::MatMul{.transpose_x = true, .transpose_y = true}, {h.b.input({1, 2, 4, 3}), h.k}))); }},
      {"a matrix", "matmul, softmax, matmul",
       [](Heads& h) {
         const ValueId scores = h.scores(h.b.input({3, 4}), h.b.input({5, 4}));
         h.b.output(h.b.node(ir::MatMul{}, {h.b.node(ir::Softmax{.axis = 1}, {scores}), h.b.input({5, 6})}));
       }},
      {"weights on the right", "matmul, softmax, matmul", [](Heads& h) { h.b.output(h.b.node(ir::MatMul{}, {h.b.input({1, 2, 6, 3}), h.weights(h.scores(h.q, h.k))})); }},
  };
  for (const auto& [what, ops, build] : cases) {
    SCOPED_TRACE(what);
    Heads h;
    build(h);
    expect_optimized(h.b.graph, ops);
  }
}

}  // namespace
}  // namespace smelt::passes
