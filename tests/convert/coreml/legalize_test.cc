#include "convert/coreml/legalize.h"

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "eval/evaluate.h"
#include "ir/ops/all.h"

namespace smelt::coreml_format {
namespace {

using ir::ValueId;

constexpr std::int64_t kMaxI32 = std::numeric_limits<std::int32_t>::max(), kMinI32 = std::numeric_limits<std::int32_t>::min();

/// A graph under test.
struct Source {
  ir::Graph graph{"main"};

  ValueId input(const std::string& name, DType dtype, Shape shape) { return graph.add_input(name, {.dtype = dtype, .shape = std::move(shape)}); }
  ValueId ints(std::vector<std::int64_t> shape, const std::vector<std::int64_t>& values) {
    return graph.add_constant("c", make_constant(i64_tensor(std::move(shape), values)));
  }
  std::vector<ValueId> nodes(ir::Op op, std::vector<ValueId> inputs) {
    const Result<ir::NodeId> id = graph.add_node(std::move(op), std::move(inputs), "source");
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().to_string());
    return graph.node(id.value()).outputs;
  }
  ValueId node(ir::Op op, std::vector<ValueId> inputs) { return nodes(std::move(op), std::move(inputs)).front(); }
  void output(ValueId id) { graph.add_output("y" + std::to_string(graph.outputs().size()), id); }

  [[nodiscard]] ir::Graph legal(Target target = Target::kIos16) const {
    Result<ir::Graph> result = legalize(graph, target);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().to_string());
    return result.ok() ? std::move(result).value() : ir::Graph("none");
  }
  [[nodiscard]] Error refusal(Target target = Target::kIos16) const {
    const Result<ir::Graph> result = legalize(graph, target);
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error(ErrorCode::kInternal, "accepted") : result.error();
  }
};

/// "i32 -> cast -> add -> i32": the dtypes of the inputs, the ops, the dtypes of the outputs.
std::string outline(const ir::Graph& graph) {
  std::string out;
  for (const ValueId id : graph.inputs()) out += std::string(name(graph.value(id).type.dtype)) + " ";
  out += "->";
  for (const ir::NodeId id : graph.topological_order()) out += " " + std::string(graph.node(id).op.name());
  out += " ->";
  for (const ir::GraphOutput& output : graph.outputs()) out += " " + std::string(name(graph.value(output.value).type.dtype));
  return out;
}

bool mentions(const Error& error, const std::string& text) { return error.message().find(text) != std::string::npos; }

TEST(Legalize, IntegersBecomeInt32) {
  Source s;
  s.output(s.node(ir::Add{}, {s.input("x", DType::kI64, {2}), s.ints({2}, {kMaxI32, kMinI32})}));
  const ir::Graph legal = s.legal();
  EXPECT_EQ(outline(legal), "i32 -> add -> i32");
  const ir::Node& add = legal.node(legal.topological_order().front());
  EXPECT_EQ(to_doubles(load(*legal.value(add.inputs[1]).constant).value()), (std::vector<double>{2147483647, -2147483648}));
  EXPECT_EQ(legal.value(legal.inputs()[0]).name, "x");
  EXPECT_EQ(legal.outputs()[0].name, "y0");
}

TEST(Legalize, IntegersThatDoNotFitAreRefused) {
  for (const std::int64_t value : {kMaxI32 + 1, kMinI32 - 1, std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    Source s;
    s.output(s.node(ir::Add{}, {s.input("x", DType::kI64, {2}), s.ints({2}, {0, value})}));
    EXPECT_EQ(s.refusal().code(), ErrorCode::kNotRepresentable) << value;
    EXPECT_TRUE(mentions(s.refusal(), "constant \"c\"")) << s.refusal().message();
  }
  HostTensor wide{.dtype = DType::kU32, .shape = {1}, .bytes = std::vector<std::byte>(4, std::byte{0xff})};
  Source s;
  s.output(s.node(ir::Add{}, {s.input("x", DType::kU32, {1}), s.graph.add_constant("u", make_constant(wide))}));
  EXPECT_EQ(s.refusal().code(), ErrorCode::kNotRepresentable);
}

TEST(Legalize, AConstantThatNothingUsesIsNotLookedAt) {
  Source s;
  const ValueId x = s.input("x", DType::kI64, {2});
  (void)s.ints({1}, {kMaxI32 + 1});
  s.output(s.node(ir::Neg{}, {x}));
  EXPECT_EQ(outline(s.legal()), "i32 -> neg -> i32");
}

TEST(Legalize, WideFloatsBecomeFloat32) {
  Source s;
  const double value = 1e300;
  HostTensor wide{.dtype = DType::kF64, .shape = {1}, .bytes = std::vector<std::byte>(8)};
  std::memcpy(wide.bytes.data(), &value, 8);
  s.output(s.node(ir::Add{}, {s.input("x", DType::kF64, {2}), s.graph.add_constant("c", make_constant(wide))}));
  s.output(s.node(ir::Neg{}, {s.input("z", DType::kBF16, {2})}));
  EXPECT_EQ(outline(s.legal()), "f32 f32 -> add neg -> f32 f32");
}

TEST(Legalize, CastsFollow) {
  Source s;
  const ValueId x = s.input("x", DType::kI64, {2});
  s.output(s.node(ir::Cast{.to = DType::kI32}, {x}));
  s.output(s.node(ir::Cast{.to = DType::kF64}, {x}));
  s.output(s.node(ir::Cast{.to = DType::kU8}, {s.node(ir::Neg{}, {x})}));
  EXPECT_EQ(outline(s.legal()), "i32 -> cast neg -> i32 f32 i32");
}

TEST(Legalize, BoolIsInt32AtTheBorder) {
  Source s;
  const ValueId x = s.input("x", DType::kBool, {2});
  s.output(s.node(ir::Not{}, {x}));
  s.output(x);
  EXPECT_EQ(outline(s.legal()), "i32 -> cast not cast cast -> i32 i32");
}

TEST(Legalize, Float16IsFloat32AtTheBorderOfIos15) {
  Source s;
  s.output(s.node(ir::Relu{}, {s.input("x", DType::kF16, {2})}));
  EXPECT_EQ(outline(s.legal(Target::kIos15)), "f32 -> cast relu cast -> f32");
  EXPECT_EQ(outline(s.legal(Target::kIos16)), "f16 -> relu -> f16");
}

TEST(Legalize, NegativeConstantIndicesCountFromTheStart) {
  Source s;
  const ValueId x = s.input("x", DType::kF32, {3, 5});
  const ValueId shared = s.ints({3}, {-1, 2, -3});
  s.output(s.node(ir::Gather{.axis = 0}, {x, shared}));
  s.output(s.node(ir::Gather{.axis = 1}, {x, shared}));  // the same indices, of another axis
  s.output(s.node(ir::Gather{.axis = 1}, {x, s.ints({}, {-5})}));
  s.output(s.node(ir::GatherNd{}, {x, s.ints({2, 2}, {-1, -1, 0, -5})}));
  s.output(s.node(ir::GatherNd{.batch_axes = 1}, {x, s.ints({3, 1}, {-1, 4, -5})}));
  const ir::Graph legal = s.legal();
  std::vector<std::vector<double>> indices;
  for (const ir::NodeId id : legal.topological_order()) indices.push_back(to_doubles(load(*legal.value(legal.node(id).inputs[1]).constant).value()));
  EXPECT_EQ(indices, (std::vector<std::vector<double>>{{2, 2, 0}, {4, 2, 2}, {0}, {2, 4, 0, 0}, {4, 4, 0}}));
}

TEST(Legalize, IndicesOutOfBoundsAreMalformed) {
  for (const std::int64_t index : {5, -6}) {
    Source s;
    s.output(s.node(ir::Gather{.axis = 1}, {s.input("x", DType::kF32, {3, 5}), s.ints({1}, {index})}));
    EXPECT_EQ(s.refusal().code(), ErrorCode::kMalformedInput);
    EXPECT_EQ(s.refusal().location().node, "source");
  }
}

TEST(Legalize, EverythingThatCoreMLCannotHoldIsListed) {
  Source s;
  const ValueId deep = s.input("deep", DType::kF32, {1, 1, 1, 1, 1, 2});
  s.output(s.node(ir::Add{}, {deep, s.input("scalar", DType::kF32, {})}));
  s.output(s.node(ir::Abs{}, {s.input("empty", DType::kF32, {2, 0})}));
  const Error error = s.refusal();
  EXPECT_EQ(error.code(), ErrorCode::kNotRepresentable);
  for (const char* part : {"\"deep\" has rank 6, the most is 5", "input \"scalar\" has rank 0", "\"empty\" has an extent of 0"}) {
    EXPECT_TRUE(mentions(error, part)) << error.message();
  }
}

TEST(Legalize, AnOpenExtentIsRefused) {
  Source s;
  s.output(s.node(ir::Abs{}, {s.input("x", DType::kF32, {2, s.graph.symbols().symbol("n")})}));
  EXPECT_EQ(s.refusal().code(), ErrorCode::kNotRepresentable);
  EXPECT_TRUE(mentions(s.refusal(), "\"x\" has the open shape [2, n]")) << s.refusal().message();
}

TEST(Legalize, UnusedInputsAndResultsAreCheckedToo) {
  {
    Source s;  // they are written all the same: into the description, and as the results of a node that is used
    (void)s.input("scalar", DType::kF32, {});
    (void)s.input("deep", DType::kF32, {1, 1, 1, 1, 1, 1});
    s.output(s.nodes(ir::Split{.axis = 0, .sizes = {2, 0}}, {s.input("x", DType::kF32, {2})}).front());
    const Error error = s.refusal();
    EXPECT_TRUE(mentions(error, "\"scalar\"") && mentions(error, "\"deep\"") && mentions(error, "an extent of 0")) << error.message();
  }
  Source s;
  s.output(s.node(ir::Abs{}, {s.input("x", DType::kF32, {2})}));
  (void)s.graph.add_constant("empty", make_constant(f32_tensor({0}, {})));
  EXPECT_EQ(outline(s.legal()), "f32 -> abs -> f32");
}

/// MIL's parameters and extents are 32 bits wide.
TEST(Legalize, NumbersOverInt32AreRefused) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  {
    Source s;
    s.output(s.node(ir::Reshape{.shape = {2, -1}}, {s.input("x", DType::kF32, {kHuge})}));
    EXPECT_EQ(s.refusal().code(), ErrorCode::kNotRepresentable);
  }
  Source s;
  const ValueId w = s.graph.add_constant("w", make_constant(f32_tensor({1, 1, 1}, std::vector<float>{1})));
  s.output(s.node(ir::Conv{.stride = {kHuge}, .dilation = {1}, .pads_begin = {0}, .pads_end = {0}, .groups = 1}, {s.input("x", DType::kF32, {1, 1, 4}), w}));
  EXPECT_EQ(s.refusal().code(), ErrorCode::kNotRepresentable);
  EXPECT_TRUE(mentions(s.refusal(), "stride")) << s.refusal().message();
}

TEST(Legalize, ScalarsInsideAndAtTheEndAreFine) {
  Source s;
  s.output(s.node(ir::Reduce{.function = ir::ReduceFunction::kSum, .axes = {0}, .keeps_axes = false}, {s.input("x", DType::kF32, {2})}));
  EXPECT_EQ(outline(s.legal()), "f32 -> reduce -> f32");
}

TEST(Legalize, CodesOfWeightsKeepTheirType) {
  Source s;
  const HostTensor codes{.dtype = DType::kI8, .shape = {2, 2}, .bytes = std::vector<std::byte>(4)};
  const ValueId q = s.graph.add_constant("q", make_constant(codes));
  const ValueId scale = s.graph.add_constant("s", make_constant(f32_tensor({2}, std::vector<float>{1, 2})));
  s.output(s.node(ir::Add{}, {s.input("x", DType::kF32, {2, 2}), s.node(ir::Dequantize{.axis = 0}, {q, scale})}));
  const ir::Graph legal = s.legal();
  EXPECT_EQ(outline(legal), "f32 -> dequantize add -> f32");
  EXPECT_EQ(legal.value(legal.node(legal.topological_order().front()).inputs[0]).type.dtype, DType::kI8);
}

TEST(Legalize, ComputedCodesAreRefused) {
  Source s;
  const ValueId scale = s.graph.add_constant("s", make_constant(f32_tensor({1}, std::vector<float>{1})));
  s.output(s.node(ir::Dequantize{.axis = 0}, {s.input("q", DType::kI8, {2, 2}), scale}));
  EXPECT_EQ(s.refusal().code(), ErrorCode::kNotRepresentable);
}

TEST(Legalize, NamesStay) {
  Source s;
  const ValueId y = s.node(ir::Abs{}, {s.input("x", DType::kF32, {2})});
  s.graph.set_value_name(y, "middle");
  s.output(s.node(ir::Neg{}, {y}));
  const ir::Graph legal = s.legal();
  EXPECT_EQ(legal.value(legal.node(legal.topological_order().front()).outputs[0]).name, "middle");
  EXPECT_EQ(legal.node(legal.topological_order().front()).source, "source");
}

TEST(Legalize, AnInputCanBeDeclaredInTheOtherFloatDtype) {
  Source source;
  const ValueId x = source.input("x", DType::kF32, {Dim(2)});
  source.output(source.node(ir::Relu{}, {x}));
  const Result<ir::Graph> cast_inside = legalize(source.graph, Target::kIos16, {{"x", DType::kF16}});
  ASSERT_TRUE(cast_inside.ok());
  EXPECT_EQ(outline(*cast_inside), "f16 -> cast relu -> f32");

  // Where the graph computes in float16 anyway, the two casts cancel and neither stays.
  Source half;
  const ValueId y = half.node(ir::Cast{.to = DType::kF16}, {half.input("x", DType::kF32, {Dim(2)})});
  half.output(half.node(ir::Relu{}, {y}));
  const Result<ir::Graph> direct = legalize(half.graph, Target::kIos16, {{"x", DType::kF16}});
  ASSERT_TRUE(direct.ok());
  EXPECT_EQ(outline(*direct), "f16 -> relu -> f16");

  EXPECT_EQ(legalize(source.graph, Target::kIos15, {{"x", DType::kF16}}).error().code(), ErrorCode::kNotRepresentable);
  EXPECT_EQ(legalize(source.graph, Target::kIos16, {{"x", DType::kI32}}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(legalize(source.graph, Target::kIos16, {{"z", DType::kF16}}).error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace smelt::coreml_format
