// Prints docs/ops.md, made by running every case of the tests' tables through the evaluator, the importer, the lowerings and the
// exporter. With a file as its argument it compares instead, and fails where the file is another.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "convert/coreml/export.h"
#include "convert/coreml/import.h"
#include "convert/coreml/legalize.h"
#include "convert/coreml/round_trip.h"
#include "convert/onnx/export.h"
#include "convert/onnx/import.h"
#include "convert/onnx/import_cases.h"
#include "convert/onnx/node_context.h"
#include "convert/onnx/wire.h"
#include "eval/evaluate.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;
using coreml_format::Target;
using ir::OpKind;
using Words = std::set<std::string>;

constexpr std::array kTargets{Target::kIos15, Target::kIos16, Target::kIos17, Target::kIos18};

/// What is known of an op.
struct Row {
  std::set<DType> dtypes;              ///< of first operands that are evaluated
  Words imported, exported;            ///< ONNX operators
  std::array<Words, kTargets.size()> lowered;  ///< MIL operations by target
};

/// What is known of an ONNX operator.
struct Operator {
  std::int64_t since = 0;
  Words ops;
};

struct Tables {
  std::map<OpKind, Row> rows;
  std::map<std::string, Operator> operators;
};

std::uint64_t count_of(const ir::Graph& graph, OpKind kind) {
  std::uint64_t count = 0;
  for (const ir::NodeId id : graph.topological_order()) count += graph.node(id).op.kind() == kind ? 1U : 0U;
  return count;
}

/// The MIL operations that a case is written with, without those of the program's border: casts of inputs and outputs, squeezes of
/// inputs of one element.
Words lowered(const coreml_format::Case& c, const ir::Graph& source, Target target, const fs::path& folder) {
  Words words;
  const Result<ir::Graph> legal = coreml_format::legalize(source, target);
  SMELT_CHECK(legal.ok());
  const fs::path package = folder / "m.mlpackage";
  const auto written = coreml_format::export_package(*legal, package, {.target = target, .if_exists = coreml_format::PackageWriter::IfExists::kReplace, .user_defined = {}});
  SMELT_CHECK(written.ok());
  const auto read = coreml_format::import_package(package);
  SMELT_CHECK(read.ok());
  for (const auto& [type, count] : read->operation_counts) {
    const bool is_border = (type == "cast" && c.op.kind() != OpKind::kCast && count <= count_of(*legal, OpKind::kCast)) ||
                           (type == "squeeze" && c.op.kind() != OpKind::kSqueeze && count <= count_of(*legal, OpKind::kSqueeze)) ||
                           (type == "identity" && c.op.kind() != OpKind::kIdentity);
    if (!is_border) words.insert(type);
  }
  return words;
}

Words exported(const ir::Graph& graph, const fs::path& folder) {
  const Status written = onnx_format::export_model(graph, folder, {});
  if (!written.ok()) std::fprintf(stderr, "%s\n", written.error().to_string().c_str());
  SMELT_CHECK(written.ok());
  std::ifstream file(folder / "model.onnx", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto model = onnx_format::read_model(std::as_bytes(std::span(bytes)), "model.onnx", {});
  SMELT_CHECK(model.ok());
  Words words;
  for (const auto& node : model->graph.nodes) words.insert(node.op_type);
  return words;
}

void run_ir_cases(Tables& tables, const fs::path& folder) {
  using namespace coreml_format;
  for (const auto& cases : {elementwise_cases(), layer_cases(), shape_cases(), rnn_cases(), resample_cases()}) {
    for (const Case& c : cases) {
      Row& row = tables.rows[c.op.kind()];
      CaseGraph built;
      built.add(c);
      for (std::size_t k = 0; k < kTargets.size(); ++k) {
        if (kTargets.at(k) >= c.since && kTargets.at(k) <= c.until) row.lowered.at(k).merge(lowered(c, built.graph, kTargets.at(k), folder));
      }
      if (c.until < c.since) continue;
      SMELT_CHECK(eval::evaluate(built.graph, built.inputs).ok());
      row.dtypes.insert(c.operands.at(0).dtype);
      if (std::none_of(c.operands.begin(), c.operands.end(), [](const Operand& o) { return o.shape.empty() && !o.is_constant; })) {
        row.exported.merge(exported(built.graph, folder));
      }
    }
  }
}

void run_onnx_cases(Tables& tables, const fs::path& folder) {
  using namespace onnx_format;
  for (const auto table : {conv_imports(), elementwise_imports(), matmul_imports(), norm_imports(), pool_imports(), reduce_imports(),
                           resample_imports(), rnn_imports(), shape_imports()}) {
    for (const OperatorImport& row : table) tables.operators[std::string(row.op_type)].since = row.since;
  }
  for (const auto& cases : {unary_cases(), elementwise_cases(), layer_cases(), shape_cases(), rnn_cases(), resample_cases()}) {
    for (const Case& c : cases) {
      const fs::path path = folder / "case.onnx";
      model_of(c).write(path);
      Result<MappedFile> file = MappedFile::open(path);
      SMELT_CHECK(file.ok());
      const auto imported = import_model(std::make_shared<const MappedFile>(std::move(file).value()), path, {});
      SMELT_CHECK(imported.ok());
      const std::vector<ir::NodeId> nodes = imported->graph.topological_order();
      for (const ir::NodeId id : nodes) {
        const ir::Op& op = imported->graph.node(id).op;
        tables.operators.at(c.op_type).ops.insert(std::string(op.name()));
        if (nodes.size() == 1) tables.rows[op.kind()].imported.insert(c.op_type);
      }
    }
  }
}

std::string listed(const Words& words) { return fmt::format("{}", fmt::join(words, ", ")); }

/// "conv", or by target where they differ: "ios15, ios16: conv; ios17: add, conv".
std::string by_target(const std::array<Words, kTargets.size()>& lowered) {
  if (std::all_of(lowered.begin(), lowered.end(), [&](const Words& words) { return words == lowered.front(); })) return listed(lowered.front());
  std::string text;
  for (std::size_t k = 0; k < kTargets.size();) {
    std::size_t end = k + 1;
    while (end < kTargets.size() && lowered.at(end) == lowered.at(k)) ++end;
    const std::string first(coreml_format::target_name(kTargets.at(k))), last(coreml_format::target_name(kTargets.at(end - 1)));
    text += fmt::format("{}{}{}: {}", text.empty() ? "" : "; ", first, end == k + 1 ? "" : " to " + last, lowered.at(k).empty() ? "none" : listed(lowered.at(k)));
    k = end;
  }
  return text;
}

std::string document(const Tables& tables) {
  std::string text = R"(# Operators

Made by `build/dev/bin/ops_doc > docs/ops.md` out of the tables of importers and lowerings and the cases that the tests run through them; a
test compares. What an op or an operator does is said where it is defined: `src/ir/ops`.

## Ops

What becomes of each op of the IR. Evaluator: dtypes of the first operand that the cases have. From ONNX: operators that become this op
alone. Core ML: the MIL operations that it is written with, over all its cases, at every target or by target. To ONNX: the operators that
stand for it in parity runs. Each op has a rule for its shape, an evaluation and an export.

| op | evaluator | from ONNX | Core ML | to ONNX |
| --- | --- | --- | --- | --- |
)";
  for (const OpKind kind : ir::all_op_kinds()) {
    const Row& row = tables.rows.at(kind);
    Words dtypes;
    for (const DType dtype : row.dtypes) dtypes.insert(std::string(name(dtype)));
    text += fmt::format("| {} | {} | {} | {} | {} |\n", ir::op_name(kind), listed(dtypes), listed(row.imported), by_target(row.lowered), listed(row.exported));
  }
  text += R"(
## ONNX operators

The operators of the default domain that are read, the first opset whose form is read, and the ops that they become. An operator without
ops is worked out at conversion.

| operator | from opset | ops |
| --- | --- | --- |
)";
  for (const auto& [name, row] : tables.operators) text += fmt::format("| {} | {} | {} |\n", name, row.since, listed(row.ops));
  return text;
}

int run(const char* compared) {
  std::string pattern = (fs::temp_directory_path() / "smelt-ops-XXXXXX").string();
  SMELT_CHECK(::mkdtemp(pattern.data()) != nullptr);
  Tables tables;
  run_ir_cases(tables, pattern);
  run_onnx_cases(tables, pattern);
  fs::remove_all(pattern);
  const std::string text = document(tables);
  if (compared == nullptr) {
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  std::ifstream file(compared);
  if (text == std::string{std::istreambuf_iterator<char>(file), {}}) return 0;
  std::fprintf(stderr, "%s is not what ops_doc prints; write it anew: ops_doc > %s\n", compared, compared);
  return 1;
}

}  // namespace
}  // namespace smelt

int main(int argc, char** argv) { return smelt::run(argc > 1 ? argv[1] : nullptr); }
