#include "convert/onnx/import.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "convert/onnx/import_cases.h"
#include "convert/onnx/node_context.h"
#include "eval/evaluate.h"
#include "temp_folder.h"

namespace smelt::onnx_format {
namespace {

Result<ImportResult> import(const std::filesystem::path& path) {
  SMELT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  return import_model(std::make_shared<const MappedFile>(std::move(file)), path, {});
}

class ImportCases : public TempFolderTest {
 protected:
  void check(const Case& c) {
    SCOPED_TRACE(c.op_type + ": " + c.what);
    const std::filesystem::path path = folder_ / "m.onnx";
    model_of(c).write(path);
    const Result<ImportResult> imported = import(path);
    ASSERT_TRUE(imported.ok()) << imported.error().to_string();
    EXPECT_EQ(imported->opset, c.opset);
    const std::vector<HostTensor> inputs = inputs_of(c);
    ASSERT_EQ(imported->graph.inputs().size(), inputs.size());
    const Result<std::vector<HostTensor>> outputs = eval::evaluate(imported->graph, inputs);
    ASSERT_TRUE(outputs.ok()) << outputs.error().to_string();
    ASSERT_EQ(outputs->size(), c.expected.size());
    for (std::size_t k = 0; k < outputs->size(); ++k) expect_close((*outputs)[k], c.expected[k]);
    if (inputs.empty()) {
      EXPECT_TRUE(imported->graph.topological_order().empty()) << "not folded:\n" << ir::to_text(imported->graph);
    }
  }

  static void expect_close(const HostTensor& actual, const Out& expected) {
    ASSERT_EQ(type_text(actual.dtype, actual.shape), expected.type);
    const std::vector<double> a = to_doubles(actual);
    ASSERT_EQ(a.size(), expected.values.size());
    const double tolerance = actual.dtype == DType::kF16 ? 1e-3 : is_float(actual.dtype) ? 2e-6 : 0.0;
    for (std::size_t k = 0; k < a.size(); ++k) {
      EXPECT_LE(std::fabs(a[k] - expected.values[k]), tolerance * std::max(1.0, std::fabs(expected.values[k]))) << k << ": " << a[k] << " for " << expected.values[k];
    }
  }
};

TEST_F(ImportCases, Unary) {
  for (const Case& c : unary_cases()) check(c);
}
TEST_F(ImportCases, Elementwise) {
  for (const Case& c : elementwise_cases()) check(c);
}
TEST_F(ImportCases, Layers) {
  for (const Case& c : layer_cases()) check(c);
}
TEST_F(ImportCases, Shapes) {
  for (const Case& c : shape_cases()) check(c);
}

TEST_F(ImportCases, Resamples) {
  for (const Case& c : resample_cases()) check(c);
}

TEST_F(ImportCases, Rnn) {
  for (const Case& c : rnn_cases()) check(c);
}

TEST_F(ImportCases, EveryOperatorOfEveryTableHasACase) {
  std::set<std::string> covered;
  for (const auto& cases : {unary_cases(), elementwise_cases(), layer_cases(), resample_cases(), rnn_cases(), shape_cases()}) {
    for (const Case& c : cases) covered.insert(c.op_type);
  }
  for (const auto table : {conv_imports(), elementwise_imports(), matmul_imports(), norm_imports(), pool_imports(), reduce_imports(), resample_imports(), rnn_imports(), shape_imports()}) {
    for (const OperatorImport& row : table) EXPECT_TRUE(covered.contains(std::string(row.op_type))) << "no case: " << row.op_type;
  }
}

}  // namespace
}  // namespace smelt::onnx_format
