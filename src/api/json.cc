#include <nlohmann/json.hpp>

#include "smelt/convert.h"
#include "smelt/validate.h"

namespace smelt {
namespace {

using Json = nlohmann::ordered_json;

Json optional_number(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json as_json(const std::optional<WorstOperation>& worst) {
  if (!worst) return nullptr;
  return {{"output", worst->output}, {"sample", worst->sample}, {"op", worst->op}, {"value", worst->value},
          {"sqnr_db", optional_number(worst->sqnr_db)}, {"inputs_sqnr_db", optional_number(worst->inputs_sqnr_db)}};
}

Json as_json(const ParityReport& report) {
  Json outputs = Json::array(), gates = Json::array();
  for (const OutputParity& o : report.outputs) {
    outputs.push_back({{"name", o.name}, {"l_inf", o.l_inf}, {"rmse", o.rmse}, {"peak", o.peak}, {"sqnr_db", optional_number(o.sqnr_db)}, {"cosine", o.cosine},
                       {"top1_agreement", optional_number(o.top1_agreement)}, {"top5_agreement", optional_number(o.top5_agreement)},
                       {"nan_count", o.nan_count}, {"inf_count", o.inf_count}});
  }
  for (const GateOutcome& g : report.gates) {
    gates.push_back({{"output", g.output}, {"metric", g.metric}, {"value", g.value}, {"scale", g.scale}, {"limit", g.limit}, {"passed", g.passed}});
  }
  return {{"baseline", report.baseline}, {"engine", {{"name", "onnxruntime"}, {"version", report.engine_version}}}, {"method", report.method},
          {"data", report.data}, {"dataset_sha256", report.dataset_sha256}, {"seed", report.seed}, {"samples", report.samples}, {"outputs", outputs},
          {"gates", gates}, {"baseline_accuracy", optional_number(report.baseline_accuracy)}, {"variant_accuracy", optional_number(report.variant_accuracy)},
          {"verdict", report.passed ? "pass" : "fail"}, {"worst_op", as_json(report.worst_op)}, {"seconds", report.seconds}};
}

std::string text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string to_json(const ParityReport& report) { return text(as_json(report)); }

std::string to_json(const ConvertReport& report) {
  Json fallbacks = Json::array(), renamed = Json::object();
  for (const WeightFallback& f : report.fallbacks) fallbacks.push_back({{"weight", f.weight}, {"elements", f.elements}, {"reason", f.reason}});
  for (const auto& [source, name] : report.renamed) renamed[source] = name;
  return text({{"model", report.model}, {"path", report.path.string()}, {"variant", report.variant}, {"target", report.target}, {"operations", report.operations},
               {"source_bytes", report.source_bytes}, {"package_bytes", report.package_bytes}, {"weights_quantized", report.weights_quantized},
               {"weights_kept", report.weights_kept}, {"fallbacks", fallbacks}, {"renamed", renamed}, {"notes", report.notes},
               {"parity", report.parity ? as_json(*report.parity) : Json(nullptr)}, {"convert_seconds", report.convert_seconds}, {"passed", report.passed}});
}

}  // namespace smelt
