// A network in its training form, with branches beside each other, becomes the network that its authors re-parametrized by hand.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "convert/onnx/import.h"
#include "convert/passes/optimize.h"
#include "eval/evaluate.h"
#include "need.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

const fs::path kFastVit = fs::path(SMELT_CORPUS) / "trained/fastvit_tiny";

ir::Graph imported(const fs::path& path) {
  Result<MappedFile> file = MappedFile::open(path);
  EXPECT_TRUE(file.ok());
  Result<onnx_format::ImportResult> model = onnx_format::import_model(std::make_shared<const MappedFile>(std::move(*file)), path, {});
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().to_string());
  return std::move(model->graph);
}

ir::Graph optimized(ir::Graph graph) {
  const Result<passes::OptimizeStats> stats = passes::optimize(graph, {});
  EXPECT_TRUE(stats.ok()) << (stats.ok() ? "" : stats.error().to_string());
  return graph;
}

std::map<std::string, int> op_counts(const ir::Graph& graph) {
  std::map<std::string, int> counts;
  for (const ir::NodeId id : graph.topological_order()) ++counts[std::string(graph.node(id).op.name())];
  return counts;
}

std::vector<double> logits(const ir::Graph& graph) {
  std::mt19937 engine(1);
  std::vector<float> pixels(3 * 64 * 64);
  for (float& pixel : pixels) pixel = static_cast<float>(engine() % 256) / 255.0F;
  const std::vector<HostTensor> inputs = {f32_tensor({1, 3, 64, 64}, pixels)};
  const Result<std::vector<HostTensor>> results = eval::evaluate(graph, inputs);
  EXPECT_TRUE(results.ok()) << (results.ok() ? "" : results.error().to_string());
  return to_doubles((*results)[0]);
}

TEST(BranchesTest, TrainingFormBecomesTheReparametrizedOne) {
  SMELT_NEED("corpus", kFastVit);
  const ir::Graph source = imported(kFastVit / "train_time.onnx");
  const ir::Graph merged = optimized(source), by_hand = optimized(imported(kFastVit / "reparam.onnx"));
  EXPECT_EQ(op_counts(merged), op_counts(by_hand));
  EXPECT_EQ(op_counts(merged).at("conv"), 32);
  EXPECT_EQ(op_counts(source).at("conv"), 42);
  const std::vector<double> expected = logits(source), actual = logits(merged);
  double peak = 1;
  for (const double value : expected) peak = std::max(peak, std::abs(value));
  ASSERT_EQ(expected.size(), actual.size());
  for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_NEAR(actual[k], expected[k], 1e-5 * peak);
}

}  // namespace
}  // namespace smelt
