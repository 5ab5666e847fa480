#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace smelt {

Status parallel_for(std::size_t count, unsigned jobs, const std::function<Status(std::size_t)>& work) {
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> has_failed = false;
  std::mutex mutex;
  std::size_t failed = count;
  Status status;
  const auto run = [&] {
    while (!has_failed) {
      const std::size_t k = next++;
      if (k >= count) return;
      Status result = work(k);
      if (result.ok()) continue;
      has_failed = true;
      const std::lock_guard lock(mutex);
      if (k >= failed) continue;
      failed = k;
      status = std::move(result);
    }
  };
  std::vector<std::thread> threads;
  try {
    while (threads.size() + 1 < std::min<std::size_t>(jobs, count)) threads.emplace_back(run);
  } catch (const std::system_error&) {
    // The system has no more threads: those there are do it all.
  }
  run();
  for (std::thread& thread : threads) thread.join();
  return status;
}

}  // namespace smelt
