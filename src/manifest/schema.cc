#include "manifest/manifest.h"

#include <string_view>

namespace smelt::manifest {

/// The text of schemas/manifest.schema.json, so that it comes with the library; a test compares the two.
std::string_view schema_text() {
  static constexpr std::string_view kText = R"json({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "smelt manifest.json",
  "description": "One entry for each package of an output folder. What was not measured is null, with a <key>_reason beside it.",
  "type": "object",
  "additionalProperties": false,
  "required": ["schema_version", "models"],
  "properties": {
    "schema_version": { "const": 1 },
    "models": {
      "description": "Sorted by model; no two have the same model.",
      "type": "array",
      "items": { "$ref": "#/$defs/entry" }
    }
  },
  "$defs": {
    "count": { "type": "integer", "minimum": 0, "maximum": 18446744073709551615 },
    "sha256": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
    "reason": { "description": "Why the key beside it is null.", "type": "string", "minLength": 1 },
    "measured": { "type": ["number", "null"] },
    "computed": { "description": "Null where the number is not finite.", "type": ["number", "null"] },
    "string_map": { "type": "object", "additionalProperties": { "type": "string" } },
    "entry": {
      "type": "object",
      "additionalProperties": false,
      "required": [
        "model", "source", "backend", "io_schema", "precision", "quantization", "ane_op_coverage_pct",
        "expected_speedup_m1", "expected_speedup_m2", "expected_speedup_m3", "accuracy_delta_l_inf",
        "accuracy_delta_rmse", "schema_version", "path", "target", "weight_threshold", "digests", "tool", "engine",
        "options", "quantization_plan", "name_map", "notes", "parity"
      ],
      "properties": {
        "model": { "description": "The package's name without its extension.", "type": "string", "minLength": 1 },
        "source": { "description": "The file name of the source.", "type": "string" },
        "backend": { "type": "string" },
        "io_schema": {
          "type": "object",
          "additionalProperties": false,
          "required": ["inputs", "outputs"],
          "properties": {
            "inputs": { "type": "array", "items": { "$ref": "#/$defs/io_tensor" } },
            "outputs": { "type": "array", "items": { "$ref": "#/$defs/io_tensor" } }
          }
        },
        "precision": { "type": "string" },
        "quantization": { "type": "string" },
        "ane_op_coverage_pct": { "$ref": "#/$defs/measured" },
        "ane_op_coverage_pct_reason": { "$ref": "#/$defs/reason" },
        "expected_speedup_m1": { "$ref": "#/$defs/measured" },
        "expected_speedup_m1_reason": { "$ref": "#/$defs/reason" },
        "expected_speedup_m2": { "$ref": "#/$defs/measured" },
        "expected_speedup_m2_reason": { "$ref": "#/$defs/reason" },
        "expected_speedup_m3": { "$ref": "#/$defs/measured" },
        "expected_speedup_m3_reason": { "$ref": "#/$defs/reason" },
        "accuracy_delta_l_inf": { "description": "The worst over the outputs.", "$ref": "#/$defs/measured" },
        "accuracy_delta_l_inf_reason": { "$ref": "#/$defs/reason" },
        "accuracy_delta_rmse": { "description": "The worst over the outputs.", "$ref": "#/$defs/measured" },
        "accuracy_delta_rmse_reason": { "$ref": "#/$defs/reason" },
        "schema_version": { "const": 1 },
        "path": { "description": "Of the package, relative to the manifest's folder.", "type": "string", "minLength": 1 },
        "target": { "type": "string" },
        "weight_threshold": { "description": "Which weights are compressed, or \"none\".", "type": "string" },
        "digests": {
          "type": "object",
          "additionalProperties": false,
          "required": ["source", "files"],
          "properties": {
            "source": { "$ref": "#/$defs/digest" },
            "files": {
              "description": "Every file of the package, sorted by path.",
              "type": "array",
              "items": { "$ref": "#/$defs/digest" }
            }
          }
        },
        "tool": {
          "type": "object",
          "additionalProperties": false,
          "required": ["name", "version"],
          "properties": { "name": { "const": "smelt" }, "version": { "type": "string" } }
        },
        "engine": {
          "type": ["object", "null"],
          "additionalProperties": false,
          "required": ["name", "version"],
          "properties": { "name": { "const": "onnxruntime" }, "version": { "type": "string" } }
        },
        "engine_reason": { "$ref": "#/$defs/reason" },
        "options": { "description": "Every option that shaped the bytes.", "$ref": "#/$defs/string_map" },
        "quantization_plan": {
          "type": "object",
          "additionalProperties": false,
          "required": ["quantized", "kept", "bytes_before", "bytes_after", "fallbacks"],
          "properties": {
            "quantized": { "description": "Weights.", "$ref": "#/$defs/count" },
            "kept": { "description": "Weights.", "$ref": "#/$defs/count" },
            "bytes_before": { "description": "Of all weights as float32.", "$ref": "#/$defs/count" },
            "bytes_after": { "description": "Of all weights as written.", "$ref": "#/$defs/count" },
            "fallbacks": { "type": "array", "items": { "$ref": "#/$defs/fallback" } }
          }
        },
        "name_map": {
          "description": "Names of the source's inputs and outputs that had to change, to their names in the package.",
          "$ref": "#/$defs/string_map"
        },
        "notes": { "type": "array", "items": { "type": "string" } },
        "parity": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/parity" }] },
        "parity_reason": { "$ref": "#/$defs/reason" }
      },
      "allOf": [
        {
          "if": { "properties": { "ane_op_coverage_pct": { "type": "null" } } },
          "then": { "required": ["ane_op_coverage_pct_reason"] },
          "else": { "properties": { "ane_op_coverage_pct_reason": false } }
        },
        {
          "if": { "properties": { "expected_speedup_m1": { "type": "null" } } },
          "then": { "required": ["expected_speedup_m1_reason"] },
          "else": { "properties": { "expected_speedup_m1_reason": false } }
        },
        {
          "if": { "properties": { "expected_speedup_m2": { "type": "null" } } },
          "then": { "required": ["expected_speedup_m2_reason"] },
          "else": { "properties": { "expected_speedup_m2_reason": false } }
        },
        {
          "if": { "properties": { "expected_speedup_m3": { "type": "null" } } },
          "then": { "required": ["expected_speedup_m3_reason"] },
          "else": { "properties": { "expected_speedup_m3_reason": false } }
        },
        {
          "if": { "properties": { "accuracy_delta_l_inf": { "type": "null" } } },
          "then": { "required": ["accuracy_delta_l_inf_reason"] },
          "else": { "properties": { "accuracy_delta_l_inf_reason": false } }
        },
        {
          "if": { "properties": { "accuracy_delta_rmse": { "type": "null" } } },
          "then": { "required": ["accuracy_delta_rmse_reason"] },
          "else": { "properties": { "accuracy_delta_rmse_reason": false } }
        },
        {
          "if": { "properties": { "engine": { "type": "null" } } },
          "then": { "required": ["engine_reason"] },
          "else": { "properties": { "engine_reason": false } }
        },
        {
          "if": { "properties": { "parity": { "type": "null" } } },
          "then": { "required": ["parity_reason"] },
          "else": { "properties": { "parity_reason": false } }
        }
      ]
    },
    "io_tensor": {
      "type": "object",
      "additionalProperties": false,
      "required": ["name", "dtype", "shape"],
      "properties": {
        "name": { "type": "string" },
        "dtype": { "type": "string" },
        "shape": { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 9223372036854775807 } }
      }
    },
    "digest": {
      "type": "object",
      "additionalProperties": false,
      "required": ["path", "bytes", "sha256"],
      "properties": {
        "path": { "description": "Relative to the manifest's folder; of the source: its file name.", "type": "string", "minLength": 1 },
        "bytes": { "$ref": "#/$defs/count" },
        "sha256": { "$ref": "#/$defs/sha256" }
      }
    },
    "fallback": {
      "description": "A weight that was a candidate and was not quantized.",
      "type": "object",
      "additionalProperties": false,
      "required": ["weight", "elements", "reason"],
      "properties": {
        "weight": { "type": "string" },
        "elements": { "$ref": "#/$defs/count" },
        "reason": { "type": "string" }
      }
    },
    "parity": {
      "type": "object",
      "additionalProperties": false,
      "required": [
        "method", "data", "dataset_sha256", "seed", "samples", "outputs", "gates", "baseline_accuracy",
        "variant_accuracy", "verdict"
      ],
      "properties": {
        "method": { "type": "string" },
        "data": { "description": "The file name of the data, empty when it was generated.", "type": "string" },
        "dataset_sha256": { "$ref": "#/$defs/sha256" },
        "seed": { "$ref": "#/$defs/count" },
        "samples": { "$ref": "#/$defs/count" },
        "outputs": { "type": "array", "items": { "$ref": "#/$defs/output_parity" } },
        "gates": { "type": "array", "items": { "$ref": "#/$defs/gate" } },
        "baseline_accuracy": { "$ref": "#/$defs/measured" },
        "variant_accuracy": { "$ref": "#/$defs/measured" },
        "verdict": { "enum": ["pass", "fail"] }
      }
    },
    "output_parity": {
      "description": "The difference of one output between the source and the package, over all samples.",
      "type": "object",
      "additionalProperties": false,
      "required": [
        "name", "l_inf", "rmse", "peak", "sqnr_db", "cosine", "top1_agreement", "top5_agreement", "nan_count",
        "inf_count"
      ],
      "properties": {
        "name": { "type": "string" },
        "l_inf": { "$ref": "#/$defs/computed" },
        "rmse": { "$ref": "#/$defs/computed" },
        "peak": { "$ref": "#/$defs/computed" },
        "sqnr_db": { "$ref": "#/$defs/measured" },
        "cosine": { "$ref": "#/$defs/computed" },
        "top1_agreement": { "$ref": "#/$defs/measured" },
        "top5_agreement": { "$ref": "#/$defs/measured" },
        "nan_count": { "$ref": "#/$defs/count" },
        "inf_count": { "$ref": "#/$defs/count" }
      }
    },
    "gate": {
      "type": "object",
      "additionalProperties": false,
      "required": ["output", "metric", "value", "scale", "limit", "passed"],
      "properties": {
        "output": { "type": "string" },
        "metric": { "type": "string" },
        "value": { "$ref": "#/$defs/computed" },
        "scale": { "$ref": "#/$defs/computed" },
        "limit": { "$ref": "#/$defs/computed" },
        "passed": { "type": "boolean" }
      }
    }
  }
}
)json";
  return kText;
}

}  // namespace smelt::manifest
