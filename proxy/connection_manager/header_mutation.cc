#include "proxy/connection_manager/header_mutation.h"

#include <algorithm>

namespace remora::connection_manager {
namespace {

using http::HeaderEntry;
using http::HeaderId;
using http::HeaderMap;
using Action = router::HeaderEdit::Action;

void remove_matching(const StringMatch& names, HeaderMap& headers) {
  for (const HeaderEntry& entry : headers.entries()) {
    if (entry.removed || http::is_pseudo(entry.id)) continue;
    if (names.matches(entry.name)) headers.remove(entry.name);
  }
}

bool breaks_header_block(std::string_view value) {
  return std::ranges::any_of(value, [](char c) { return c == '\0' || c == '\r' || c == '\n'; });
}

void set(const HeaderMutation& mutation, std::string_view value, HeaderMap& headers) {
  if (mutation.id != HeaderId::Other) {
    headers.set(mutation.id, value);
  } else {
    headers.set(mutation.name, value);
  }
}

void add(const HeaderMutation& mutation, const http::StreamInfo& info, std::string& scratch,
         HeaderMap& headers) {
  const bool present = headers.find(mutation.name) != nullptr;
  if (mutation.action == Action::AddIfAbsent && present) return;
  if (mutation.action == Action::OverwriteIfExists && !present) return;
  scratch.clear();
  mutation.value->append(info, scratch);
  if (scratch.empty() && !mutation.keep_empty) return;
  if (breaks_header_block(scratch)) return;
  const std::string_view value = headers.arena().copy(scratch);
  if (mutation.action != Action::AppendOrAdd) {
    set(mutation, value, headers);
  } else if (mutation.id != HeaderId::Other) {
    headers.add(mutation.id, value);
  } else {
    headers.add(mutation.name, value);
  }
}

}  // namespace

void apply(std::span<const HeaderMutation> mutations, const http::StreamInfo& info,
           std::string& scratch, HeaderMap& headers) {
  for (const HeaderMutation& mutation : mutations) {
    switch (mutation.kind) {
      case HeaderMutation::Kind::Remove:
        headers.remove(mutation.name);
        break;
      case HeaderMutation::Kind::RemoveMatching:
        remove_matching(mutation.names, headers);
        break;
      case HeaderMutation::Kind::Add:
        add(mutation, info, scratch, headers);
        break;
    }
  }
}

}  // namespace remora::connection_manager
