#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

using Values = std::vector<ir::ValueId>;

/// What LSTM and GRU have in common, layout 0.
struct Recurrent {
  Values inputs;  ///< x, w, r, b
  std::int64_t hidden_size = 0;
  ir::RnnDirection direction = ir::RnnDirection::kForward;
  bool batch_first = false;  ///< layout 1
};

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

Result<ir::RnnDirection> direction_of(const NodeContext& cx) {
  const std::string given = cx.string_or("direction", "forward");
  for (const auto direction : {ir::RnnDirection::kForward, ir::RnnDirection::kReverse, ir::RnnDirection::kBidirectional}) {
    if (word(direction) == given) return direction;
  }
  return cx.malformed(fmt::format("direction \"{}\"", given));
}

/// The default functions of every direction, and nothing that changes their operand.
Status check_functions(const NodeContext& cx, std::span<const std::string_view> defaults, std::int64_t directions) {
  if (const Attribute* given = cx.attribute("activations")) {
    const std::size_t count = defaults.size() * static_cast<std::size_t>(directions);
    if (given->strings.size() != count) {
      return cx.malformed(fmt::format("{} activations, {} required", given->strings.size(), count));
    }
    for (std::size_t k = 0; k < count; ++k) {
      if (lower_case(given->strings[k]) != defaults[k % defaults.size()]) {
        return cx.unsupported(fmt::format("activation {} is {}", k, given->strings[k]));
      }
    }
  }
  if (cx.attribute("clip") != nullptr) return cx.unsupported(fmt::format("clip = {}", cx.float_or("clip", 0)));
  return {};
}

/// Lengths of the samples are supported only where they say nothing: all that of the sequence.
Status check_lengths(const NodeContext& cx, ir::ValueId x) {
  if (!cx.has(4)) return {};
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> lengths, cx.constant_ints(4, "sequence_lens"));
  const smelt::Dim steps = cx.type(x).shape[0];
  for (const std::int64_t length : lengths) {
    if (length < 0) return cx.malformed(fmt::format("a sequence length of {}", length));
    if (steps != smelt::Dim(length)) return cx.unsupported("sequence_lens other than the whole sequence");
  }
  return {};
}

Result<ir::ValueId> swapped(NodeContext& cx, ir::ValueId value) { return cx.emit(ir::Transpose{.perm = {1, 0, 2}}, {value}); }

Result<Recurrent> import_recurrent(NodeContext& cx, std::span<const std::string_view> defaults) {
  Recurrent out;
  SMELT_ASSIGN_OR_RETURN(out.direction, direction_of(cx));
  SMELT_RETURN_IF_ERROR(check_functions(cx, defaults, direction_count(out.direction)));
  const std::int64_t layout = cx.int_or("layout", 0);
  if (layout != 0 && layout != 1) return cx.malformed(fmt::format("layout {}", layout));
  out.batch_first = layout == 1;
  for (std::size_t k = 0; k < 3; ++k) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId input, cx.required(k));
    out.inputs.push_back(input);
  }
  for (const std::size_t k : {std::size_t{0}, std::size_t{2}}) {
    if (cx.rank(out.inputs[k]) != 3) return cx.malformed(fmt::format("operand {} has rank {}, 3 required", k, cx.rank(out.inputs[k])));
  }
  if (out.batch_first) {
    SMELT_ASSIGN_OR_RETURN(out.inputs[0], swapped(cx, out.inputs[0]));
  }
  SMELT_RETURN_IF_ERROR(check_lengths(cx, out.inputs[0]));
  const smelt::Dim units = cx.type(out.inputs[2]).shape[2];
  out.hidden_size = cx.int_or("hidden_size", units.is_static() ? units.extent() : 0);
  out.inputs.push_back(cx.input(3));
  return out;
}

Status add_state(NodeContext& cx, Recurrent& net, std::size_t index) {
  ir::ValueId state = cx.input(index);
  if (state.valid() && net.batch_first) {
    if (cx.rank(state) != 3) return cx.malformed(fmt::format("operand {} has rank {}, 3 required", index, cx.rank(state)));
    SMELT_ASSIGN_OR_RETURN(state, swapped(cx, state));
  }
  net.inputs.push_back(state);
  return {};
}

/// The node, and its results in the source's layout.
Status finish(NodeContext& cx, Recurrent net, ir::Op op) {
  while (!net.inputs.back().valid()) net.inputs.pop_back();
  SMELT_ASSIGN_OR_RETURN(const Values results, cx.emit_all(std::move(op), std::move(net.inputs)));
  const std::size_t count = std::min(cx.node().outputs.size(), results.size());
  for (std::size_t k = 0; k < count; ++k) {
    ir::ValueId result = results[k];
    if (net.batch_first && !cx.node().outputs[k].empty()) {
      SMELT_ASSIGN_OR_RETURN(result, k == 0 ? cx.emit(ir::Transpose{.perm = {2, 0, 1, 3}}, {result}) : swapped(cx, result));
    }
    cx.set(k, result);
  }
  return {};
}

/// ONNX LSTM-7 to -22. The peepholes are operand 7.
Status import_lstm(NodeContext& cx) {
  constexpr std::array<std::string_view, 3> kDefaults{"sigmoid", "tanh", "tanh"};
  if (cx.has(7)) return cx.unsupported("peepholes");
  if (cx.int_or("input_forget", 0) != 0) return cx.unsupported("input_forget");
  SMELT_ASSIGN_OR_RETURN(Recurrent net, import_recurrent(cx, kDefaults));
  SMELT_RETURN_IF_ERROR(add_state(cx, net, 5));
  SMELT_RETURN_IF_ERROR(add_state(cx, net, 6));
  const ir::Lstm op{.hidden_size = net.hidden_size, .direction = net.direction};
  return finish(cx, std::move(net), op);
}

/// ONNX GRU-7 to -22.
Status import_gru(NodeContext& cx) {
  constexpr std::array<std::string_view, 2> kDefaults{"sigmoid", "tanh"};
  SMELT_ASSIGN_OR_RETURN(Recurrent net, import_recurrent(cx, kDefaults));
  SMELT_RETURN_IF_ERROR(add_state(cx, net, 5));
  const ir::Gru op{.hidden_size = net.hidden_size, .direction = net.direction, .resets_after = cx.int_or("linear_before_reset", 0) != 0};
  return finish(cx, std::move(net), op);
}

constexpr std::array<OperatorImport, 2> kTable{{
    {"LSTM", 7, import_lstm},
    {"GRU", 7, import_gru},
}};

}  // namespace

std::span<const OperatorImport> rnn_imports() { return kTable; }

}  // namespace smelt::onnx_format
