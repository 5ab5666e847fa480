#pragma once

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace smelt {

/// Whether this run promises that a thing is there: SMELT_TESTS_REQUIRE holds words, "engine", "corpus". ./smelt.sh promises the engine
/// wherever its set-up installs it, .ci/run the corpus wherever it sees one.
inline bool is_required(const std::string& what) {
  const char* const words = std::getenv("SMELT_TESTS_REQUIRE");
  std::istringstream list(words == nullptr ? "" : words);
  for (std::string word; list >> word;) {
    if (word == what) return true;
  }
  return false;
}

}  // namespace smelt

/// Skips the test where `file` (or folder) is not there, and fails it where the run promised it. For bodies and SetUp alike.
#define SMELT_NEED(what, file)                                                                              \
  if (const std::filesystem::path smelt_needed = (file); !std::filesystem::exists(smelt_needed)) {          \
    if (::smelt::is_required(what)) GTEST_FAIL() << "this run promises the " << what << ", and there is no " << smelt_needed; \
    GTEST_SKIP() << "no " << what << " at " << smelt_needed;                                               \
  }                                                                                                        \
  static_assert(true)
