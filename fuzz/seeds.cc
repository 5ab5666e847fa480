// Writes the seeds of the corpora: fuzz_seeds FOLDER makes FOLDER/<target>/... from the cases of the tests, small valid files all.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/proto_writer.h"
#include "convert/coreml/export.h"
#include "convert/coreml/legalize.h"
#include "convert/coreml/round_trip.h"
#include "convert/onnx/import_cases.h"
#include "manifest/manifest.h"
#include "validate/npy.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void onnx_seeds(const fs::path& folder) {
  using namespace onnx_format;
  int count = 0;
  for (const auto& cases : {unary_cases(), elementwise_cases(), layer_cases(), shape_cases(), rnn_cases(), resample_cases()}) {
    for (const auto& c : cases) {
      const std::string bytes = model_of(c).bytes(), name = fmt::format("{:03}", count++);
      write(folder / "onnx_wire" / name, bytes);
      write(folder / "onnx_import" / name, bytes);
    }
  }
}

/// Two lengths, then the parts: see package.cc.
std::string framed(const fs::path& package) {
  const fs::path parts = package / "Data/com.apple.CoreML";
  const std::string manifest = read(package / "Manifest.json"), weights = read(parts / "weights/weight.bin");
  std::string out;
  for (const std::size_t length : {manifest.size(), weights.size()}) {
    SMELT_CHECK(length < 65536);
    out += static_cast<char>(length & 0xff);
    out += static_cast<char>(length >> 8);
  }
  return out + manifest + weights + read(parts / "model.mlmodel");
}

void package_seeds(const fs::path& folder) {
  using namespace coreml_format;
  int count = 0;
  const fs::path package = folder / "seed.mlpackage";
  for (const auto& cases : {elementwise_cases(), layer_cases(), shape_cases(), rnn_cases(), resample_cases()}) {
    for (const auto& c : cases) {
      if (c.until < c.since) continue;
      CaseGraph graph;
      graph.add(c);
      const Result<ir::Graph> legal = legalize(graph.graph, c.until);
      SMELT_CHECK(legal.ok());
      const auto written = export_package(*legal, package, {.target = c.until, .if_exists = PackageWriter::IfExists::kReplace, .user_defined = {}});
      SMELT_CHECK(written.ok());
      write(folder / "package" / fmt::format("{:03}", count++), framed(package));
    }
  }
  fs::remove_all(package);
}

void array_seeds(const fs::path& folder) {
  std::vector<parity::NpyEntry> entries;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kF64, DType::kI8, DType::kU16, DType::kI32, DType::kI64, DType::kBool}) {
    const HostTensor tensor = coreml_format::fixed_tensor(coreml_format::in({2, 3}, dtype), 1);
    write(folder / "npy" / std::string(name(dtype)), as_text(parity::format_npy(tensor)));
    entries.push_back({.name = std::string(name(dtype)), .tensor = tensor});
    const fs::path archive = folder / "npz" / fmt::format("{}", entries.size());
    fs::create_directories(archive.parent_path());
    SMELT_CHECK(parity::write_npz(archive, entries).ok());
  }
}

/// TensorProto: dims 1, data_type 2, float_data 4, int32_data 5, int64_data 7, name 8, raw_data 9.
void tensor_proto_seeds(const fs::path& folder) {
  constexpr std::int64_t kFloat = 1, kInt32 = 6, kInt64 = 7, kFloat16 = 10;
  for (const std::int64_t type : {kFloat, kInt32, kInt64, kFloat16}) {
    ProtoWriter raw, typed;
    for (ProtoWriter* tensor : {&raw, &typed}) {
      tensor->integer(1, 2);
      tensor->integer(2, type);
      tensor->text(8, "x");
    }
    raw.text(9, std::string(type == kInt64 ? 16 : type == kFloat16 ? 4 : 8, '\1'));
    for (int k = 0; k < 2; ++k) {
      if (type == kFloat) {
        typed.real(4, 1.5F);
      } else {
        typed.integer(type == kInt64 ? 7 : 5, k + 1);
      }
    }
    write(folder / "tensor_proto" / fmt::format("raw_{}", type), raw.data());
    write(folder / "tensor_proto" / fmt::format("typed_{}", type), typed.data());
  }
}

void manifest_seeds(const fs::path& folder) {
  const manifest::Measured none{.value = std::nullopt, .reason = "no device"}, some{.value = 0.1, .reason = {}};
  const std::string digest(64, '0');
  manifest::Entry entry{.model = "net",
                        .source = "net.onnx",
                        .inputs = {{.name = "x", .dtype = "float32", .shape = {1, 3}}},
                        .outputs = {{.name = "y", .dtype = "float16", .shape = {}}},
                        .precision = "fp16",
                        .quantization = "none",
                        .ane_op_coverage_pct = none,
                        .expected_speedup_m1 = none,
                        .expected_speedup_m2 = none,
                        .expected_speedup_m3 = none,
                        .accuracy_delta_l_inf = none,
                        .accuracy_delta_rmse = none,
                        .path = "net.mlpackage",
                        .target = "ios16",
                        .weight_threshold = "none",
                        .source_digest = {.path = "net.onnx", .bytes = 3, .sha256 = digest},
                        .files = {{.path = "net.mlpackage/a", .bytes = 1, .sha256 = digest}},
                        .tool_version = "0.1.0",
                        .engine_version = std::nullopt,
                        .options = {{"batch", "1"}},
                        .plan = {.quantized = 1, .kept = 1, .bytes_before = 8, .bytes_after = 5, .fallbacks = {{.weight = "w", .reason = "small", .elements = 1}}},
                        .name_map = {{"a.b", "a_b"}},
                        .notes = {"a note"},
                        .parity = std::nullopt,
                        .parity_reason = "not asked for"};
  write(folder / "manifest" / "unmeasured", manifest::to_json({{entry}}));
  entry.accuracy_delta_l_inf = entry.accuracy_delta_rmse = some;
  entry.engine_version = "1.0.0";
  entry.parity_reason.clear();
  entry.parity = manifest::Parity{.method = "npz",
                                  .dataset_sha256 = digest,
                                  .seed = 1,
                                  .samples = 2,
                                  .data = "a.npz",
                                  .outputs = {{.name = "y", .l_inf = 0.1, .rmse = 0.1, .peak = 1, .cosine = 1, .sqnr_db = 40, .top1_agreement = 1, .top5_agreement = {}, .nan_count = 0, .inf_count = 0}},
                                  .gates = {{.output = "y", .metric = "linf", .value = 0.1, .scale = 1, .limit = 0.2, .passed = true}},
                                  .baseline_accuracy = 0.5,
                                  .variant_accuracy = 0.5,
                                  .verdict = "pass"};
  write(folder / "manifest" / "measured", manifest::to_json({{entry}}));
  write(folder / "manifest" / "empty", manifest::to_json({}));
}

}  // namespace
}  // namespace smelt

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fuzz_seeds FOLDER\n", stderr);
    return 2;
  }
  smelt::onnx_seeds(argv[1]);
  smelt::package_seeds(argv[1]);
  smelt::array_seeds(argv[1]);
  smelt::manifest_seeds(argv[1]);
  smelt::tensor_proto_seeds(argv[1]);
}
