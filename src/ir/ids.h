#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace smelt::ir {

/// An index into one arena of a Graph. Slots are not reused, so an id stays the name of one thing while the graph lives.
template <typename Tag>
struct Id {
  std::uint32_t index = std::numeric_limits<std::uint32_t>::max();
  [[nodiscard]] constexpr bool valid() const { return index != std::numeric_limits<std::uint32_t>::max(); }
  // NOLINTNEXTLINE(modernize-use-nullptr): the check mistakes the 0 of a defaulted comparison.
  constexpr auto operator<=>(const Id&) const = default;
};

using NodeId = Id<struct NodeTag>;
using ValueId = Id<struct ValueTag>;

}  // namespace smelt::ir
