#include "validate/worst_op.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/ops/all.h"
#include "need.h"
#include "temp_folder.h"

namespace smelt::parity {
namespace {

const std::filesystem::path kEngine = SMELT_TEST_ENGINE_LIBRARY;

/// x + mask, softmax, times a factor, plus one.
struct Model {
  float mask = 0, factor = 2;

  [[nodiscard]] ir::Graph graph() const {
    ir::Graph graph("main");
    const ir::ValueId x = graph.add_input("x", {.dtype = DType::kF32, .shape = {1, 4}});
    const auto constant = [&](const std::vector<float>& values) {
      return graph.add_constant("", make_constant(f32_tensor({static_cast<std::int64_t>(values.size())}, values)));
    };
    const auto named = [&](const char* name, ir::Op op, std::vector<ir::ValueId> inputs) {
      const ir::ValueId id = graph.node(graph.add_node(std::move(op), std::move(inputs), name).value()).outputs[0];
      graph.set_value_name(id, name);
      return id;
    };
    const ir::ValueId masked = named("masked", ir::Add{}, {x, constant({0, mask, 0, mask})});
    const ir::ValueId shares = named("shares", ir::Softmax{.axis = 1}, {masked});
    const ir::ValueId scaled = named("scaled", ir::Mul{}, {shares, constant({factor})});
    graph.add_output("y", named("y", ir::Add{}, {scaled, constant({1})}));
    return graph;
  }
};

class WorstOpTest : public TempFolderTest {
 protected:
  void SetUp() override {
    SMELT_NEED("engine", kEngine);
    TempFolderTest::SetUp();
  }
  void TearDown() override {
    if (!folder_.empty()) TempFolderTest::TearDown();
  }

  std::optional<WorstOp> worst(const ir::Graph& baseline, const ir::Graph& variant) {
    const Result<engine::Engine> engine = engine::Engine::open(kEngine, {});
    EXPECT_TRUE(engine.ok());
    const std::vector<NamedArray> sample = {{.name = "x", .tensor = f32_tensor({1, 4}, std::vector<float>{0.5F, -1, 2, 0.25F})}};
    const auto found = find_worst_op(*engine, baseline, variant, sample,
                                     {.output = "y", .border_names = {}, .variant_name = [](const std::string& name) { return name; }, .scratch = folder_});
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().to_string());
    return found.ok() ? *found : std::nullopt;
  }
};

TEST_F(WorstOpTest, NamesTheOpThatDiffers) {
  const auto found = worst(Model{}.graph(), Model{.factor = 3}.graph());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->op, "mul");
  EXPECT_EQ(found->value, "scaled");
  EXPECT_NEAR(*found->sqnr_db, 6.0206, 1e-4);  // half of the value more
  EXPECT_FALSE(found->inputs_sqnr_db.has_value());
}

TEST_F(WorstOpTest, FindsNothingWhereNothingDiffers) { EXPECT_FALSE(worst(Model{}.graph(), Model{}.graph()).has_value()); }

TEST_F(WorstOpTest, AMaskInAnotherFormIsNoNoise) {
  const auto found = worst(Model{.mask = -3.4e38F}.graph(), Model{.mask = -40000, .factor = 3}.graph());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->value, "scaled");
}

TEST_F(WorstOpTest, AMaskThatIsLostIsNoise) {
  const auto found = worst(Model{.mask = -3.4e38F}.graph(), Model{.mask = -1}.graph());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->value, "masked");
}

TEST_F(WorstOpTest, InfinityThatTheBaselineLacksHasNoRatio) {
  const auto found = worst(Model{.factor = 1e30F}.graph(), Model{.factor = std::numeric_limits<float>::infinity()}.graph());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->value, "scaled");
  EXPECT_FALSE(found->sqnr_db.has_value());
}

TEST_F(WorstOpTest, ANameThatIsThereTwiceIsLeftOut) {
  ir::Graph baseline = Model{}.graph(), variant = Model{.factor = 3}.graph();
  for (std::uint32_t k = 0; k < baseline.value_count(); ++k) {
    if (baseline.value({k}).name == "scaled") baseline.set_value_name({k}, "shares");
  }
  const auto found = worst(baseline, variant);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->value, "y");
  EXPECT_FALSE(found->inputs_sqnr_db.has_value());
}

TEST_F(WorstOpTest, AValueOfAnotherShapeIsLeftOut) {
  ir::Graph variant = Model{.factor = 3}.graph();
  for (std::uint32_t k = 0; k < variant.value_count(); ++k) {
    if (variant.value({k}).name == "scaled") variant.set_value_name({k}, "");
  }
  const ir::ValueId y = variant.outputs()[0].value;
  const ir::ValueId other = variant.node(variant.add_node(ir::Reshape{.shape = {4}}, {y}, "other").value()).outputs[0];
  variant.set_value_name(other, "scaled");
  const auto found = worst(Model{}.graph(), variant);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->value, "y");
}

}  // namespace
}  // namespace smelt::parity
