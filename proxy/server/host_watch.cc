#include "proxy/server/host_watch.h"

#include <absl/strings/str_cat.h>

#include <utility>

namespace remora::server {
namespace {

HostCounts counts_of(const upstream::Host& host) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const upstream::HostCounters& counters = host.counters;
  return {counters.cx_total.load(kRelaxed), counters.cx_connect_fail.load(kRelaxed),
          counters.rq_success.load(kRelaxed), counters.answer_us.load(kRelaxed)};
}

bool before(const HostCounts& a, const HostCounts& b) {
  return a.connections <= b.connections && a.failed <= b.failed && a.answers <= b.answers &&
         a.answer_us <= b.answer_us;
}

}  // namespace

void HostCounts::add(const HostCounts& other) {
  connections += other.connections;
  failed += other.failed;
  answers += other.answers;
  answer_us += other.answer_us;
}

void HostWatch::begin_look() {
  before_ = std::move(last_);
  last_.clear();
}

void HostWatch::look(const upstream::HostSet& hosts) {
  for (const upstream::PriorityHosts& priority : hosts.priorities) {
    for (const upstream::HostPtr& host : priority.hosts) {
      const HostCounts counts = counts_of(*host);
      if (counts.connections > 0) last_.insert_or_assign(host.get(), counts);  // else unused
    }
  }
}

HostCounts HostWatch::lately(const upstream::Host& host) const {
  HostCounts now = counts_of(host);
  const auto found = before_.find(&host);
  // Another host may have come to be where one was.
  if (found == before_.end() || !before(found->second, now)) return now;
  const HostCounts& then = found->second;
  return {now.connections - then.connections, now.failed - then.failed, now.answers - then.answers,
          now.answer_us - then.answer_us};
}

std::string slowness_of(const HostCounts& host, const HostCounts& others) {
  constexpr uint64_t kEnoughAnswers = 10;
  constexpr uint64_t kTimesAsLong = 2;
  constexpr uint64_t kLongerByUs = 5'000;
  constexpr uint64_t kMs = 1000;
  if (host.answers < kEnoughAnswers || others.answers < kEnoughAnswers) return {};
  const uint64_t own = host.answer_us / host.answers, theirs = others.answer_us / others.answers;
  if (own < theirs * kTimesAsLong || own < theirs + kLongerByUs) return {};
  return absl::StrCat("slow, answers in ", own / kMs, " ms where its peers take ", theirs / kMs,
                      " ms");
}

std::string failures_of(const HostCounts& host) {
  constexpr uint64_t kMoreThanChance = 2;
  if (host.failed < kMoreThanChance || host.failed * 2 < host.connections) return {};
  return absl::StrCat(host.failed, " of ", host.connections, " new connections failed lately");
}

}  // namespace remora::server
