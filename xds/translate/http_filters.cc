#include "xds/translate/http_filters.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>

#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using HttpFilter = envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
using connection_manager::HttpFilterConfig;

// Filters whose absence changes neither who may talk nor where traffic goes: a bootstrap whose
// unknown fields are accepted may have them.
constexpr auto kDispensable = std::to_array<std::string_view>({
    "envoy.extensions.filters.http.compressor.v3.Compressor",
    "envoy.extensions.filters.http.decompressor.v3.Decompressor",
});

bool may_skip(const HttpFilter& filter, std::string_view type, const UnknownFieldPolicy& policy) {
  if (filter.is_optional()) return true;
  return policy.kind == UnknownFieldPolicy::Kind::StaticAccept &&
         std::ranges::find(kDispensable, type) != kDispensable.end();
}

// Without a factory for a filter that is left out.
absl::StatusOr<HttpFilterConfig> http_filter(const HttpFilter& filter,
                                             std::string_view stats_prefix, Context& context,
                                             const Path& path) {
  const Path at = path.field("typed_config");
  if (filter.name().empty()) return path.field("name").error("is required");
  if (!filter.has_typed_config()) return at.error("is required");
  // Only a route could switch it on, and routes can't.
  if (filter.disabled()) return path.field("disabled").error("is not supported");
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(filter.typed_config(), at));
  const http::FilterRegistration* known = context.registries.http.find(config.type);
  if (known == nullptr) {
    const std::string what = absl::StrCat("unknown type ", config.type);
    if (!may_skip(filter, config.type, context.policy)) return at.error(what);
    // Said to be optional, so no policy refuses it; it is reported all the same.
    if (context.on_unknown) {
      context.on_unknown(absl::StrCat(context.resource, ": ", at.str(), ": ", what));
    }
    return HttpFilterConfig{filter.name(), nullptr};
  }
  const std::string text = at.str();
  auto made =
      known->make(config.bytes, {context.stats, context, text, stats_prefix, filter.name()});
  if (!made.ok()) return prefixed(text, made.status());
  return HttpFilterConfig{filter.name(), *std::move(made), known->route_type};
}

}  // namespace

absl::StatusOr<std::vector<HttpFilterConfig>> http_filters(
    const google::protobuf::RepeatedPtrField<HttpFilter>& protos, std::string_view stats_prefix,
    Context& context, const Path& path) {
  if (protos.empty()) {
    return path.field("http_filters").error("must not be empty: the last one is the router");
  }
  std::vector<HttpFilterConfig> out;
  for (int i = 0; i < protos.size(); ++i) {
    const Path here = path.at("http_filters", i);
    auto filter = http_filter(protos[i], stats_prefix, context, here);
    if (!filter.ok()) return filter.status();
    const bool last = i + 1 == protos.size();
    const bool terminal = filter->factory != nullptr && filter->factory->terminal();
    if (terminal != last) {
      return here.error(last ? "the last filter must be a terminal one"
                             : "a terminal filter must be the last one");
    }
    if (filter->factory != nullptr) out.push_back(*std::move(filter));
  }
  return out;
}

}  // namespace remora::xds::translate
