#include "proxy/upstream/grpc_calls.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>

#include "proxy/stats/store.h"

namespace remora::upstream {
namespace {

constexpr size_t kMaxName = 256;

/// Names become metric names: nothing that a scrape could stumble over.
bool is_name(std::string_view name) {
  return name.size() <= kMaxName &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~'; });
}

absl::string_view view(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::string GrpcCalls::prefix() const {
  return absl::StrCat(view(cluster_.prefix()), kind_ == GrpcKind::Grpc ? ".grpc" : ".grpc-web");
}

GrpcCalls::Counts& GrpcCalls::unnamed() {
  if (unnamed_ == nullptr) {
    auto* group = store_.child_group<GrpcCallSchema>(cluster_, prefix(), stats::Store::Bound::None);
    unnamed_ = &group->at(worker_);
  }
  return *unnamed_;
}

GrpcCalls::Counts& GrpcCalls::named(std::string_view name) {
  if (auto known = by_name_.find(name); known != by_name_.end()) return *known->second;
  if (!is_name(name)) return unnamed();
  if (Counts* made = full_ ? nullptr : make(name); made != nullptr) return *made;
  unnamed().inc(GrpcCallStat::calls_over_method_limit);
  return unnamed();
}

GrpcCalls::Counts* GrpcCalls::make(std::string_view name) {
  auto* group =
      store_.child_group<GrpcCallSchema>(cluster_, absl::StrCat(prefix(), ".", view(name)));
  full_ = group == nullptr;
  if (full_) return nullptr;
  return by_name_.emplace(std::string(name), &group->at(worker_)).first->second;
}

std::string_view grpc_method_name(std::string_view path, Dots of_service, Arena& arena) {
  path = path.substr(0, path.find('?'));
  std::array<std::string_view, 2> parts;
  size_t count = 0;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    if (slash != 0) {
      if (count == parts.size()) return {};
      parts[count++] = path.substr(0, slash);
    }
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  if (count != parts.size()) return {};
  const size_t size = parts[0].size() + 1 + parts[1].size();
  char* name = static_cast<char*>(arena.allocate(size, 1));
  const bool replaces = of_service == Dots::Replace;
  char* at = std::ranges::transform(parts[0], name, [&](char c) {
               return replaces && c == '.' ? '_' : c;
             }).out;
  *at++ = '.';
  std::ranges::copy(parts[1], at);
  return {name, size};
}

void count_status(std::string_view grpc_status, GrpcCalls::Counts& counts) {
  uint32_t status = 0;
  const bool plain = grpc_status == "0" || !grpc_status.starts_with('0');
  const bool number = plain && absl::SimpleAtoi(view(grpc_status), &status) &&
                      status < static_cast<uint32_t>(http::GrpcStatus::kCount);
  if (number) counts.inc(static_cast<GrpcCallStat>(status));
  counts.inc(number && status == 0 ? GrpcCallStat::success : GrpcCallStat::failure);
  counts.inc(GrpcCallStat::total);
}

}  // namespace remora::upstream
