#include "base/parallel.h"

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace smelt {
namespace {

TEST(ParallelFor, EveryIndexOnce) {
  for (const unsigned jobs : {0U, 1U, 2U, 7U}) {
    for (const std::size_t count : {0U, 1U, 5U, 100U}) {
      std::vector<std::atomic<int>> calls(count);
      ASSERT_TRUE(parallel_for(count, jobs, [&](std::size_t k) -> Status {
                    ++calls[k];
                    return {};
                  }).ok());
      for (const auto& call : calls) EXPECT_EQ(call, 1) << jobs << " jobs, " << count;
    }
  }
}

TEST(ParallelFor, OneJobIsTheCallersThread) {
  std::set<std::thread::id> threads;
  ASSERT_TRUE(parallel_for(10, 1, [&](std::size_t) -> Status {
                threads.insert(std::this_thread::get_id());
                return {};
              }).ok());
  EXPECT_EQ(threads, (std::set<std::thread::id>{std::this_thread::get_id()}));
}

TEST(ParallelFor, TheErrorOfTheLowestIndexAndNoMoreWork) {
  for (const unsigned jobs : {1U, 2U, 4U}) {
    for (int round = 0; round < 50; ++round) {
      std::atomic<std::size_t> highest = 0;
      const Status status = parallel_for(100'000, jobs, [&](std::size_t k) -> Status {
        for (std::size_t seen = highest; k > seen && !highest.compare_exchange_weak(seen, k);) {}
        if (k == 3) std::this_thread::yield();
        if (k >= 3) return Error(ErrorCode::kWriteFailed, "index " + std::to_string(k));
        return {};
      });
      ASSERT_FALSE(status.ok());
      EXPECT_EQ(status.error().message(), "index 3");
      EXPECT_LT(highest, 100U);
    }
  }
}

}  // namespace
}  // namespace smelt
