#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "ir/graph.h"
#include "ir/rewrite/patch.h"
#include "smelt/result.h"

namespace smelt::ir {

struct DriverOptions {
  /// Rewrites in a row, each of what the one before it made. Rules that undo each other reach any number; those that come to rest
  /// need a few.
  std::uint32_t max_depth = 256;
};

/// Times that each rule was applied, by name; rules that never were are not in it.
using RuleCounts = std::map<std::string, std::uint64_t>;

/// Applies rules until none matches where something changed: every node once, the lowest id first, and again the new nodes, the
/// producers and the users of each rewrite. Rules are tried in the order given; the first match is taken. A rule that looks further
/// than a neighbour may find more in another call, so a caller repeats until the counts are empty. Same graph, same result.
/// Errors: those of the rules; `kInternal` for a patch that does not fit, and, naming the rules, past `max_depth`.
[[nodiscard]] Result<RuleCounts> apply_rules(Graph& graph, std::span<const Rule> rules, const DriverOptions& options);

}  // namespace smelt::ir
