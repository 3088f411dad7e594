#include "xds/translate/filter_configs.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <vector>

#include "api/route.pb.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Wrapper = envoy::config::route::v3::FilterConfig;

struct Entry {
  TypedBytes config;
  bool optional = false;
};

absl::StatusOr<Entry> read_entry(const google::protobuf::Any& any, const Path& path) {
  Entry out;
  REMORA_TRY_ASSIGN(out.config, unwrap(any, path));
  if (out.config.type != Wrapper::descriptor()->full_name()) return out;
  Wrapper wrapper;
  if (!wrapper.ParseFromString(out.config.bytes)) return path.error("is not a valid FilterConfig");
  if (!wrapper.has_config()) return path.field("config").error("is required");
  out.optional = wrapper.is_optional();
  REMORA_TRY_ASSIGN(out.config, unwrap(wrapper.config(), path.field("config")));
  return out;
}

}  // namespace

absl::StatusOr<router::FilterOverrides> filter_configs(
    const google::protobuf::Map<std::string, google::protobuf::Any>& protos, Context& context,
    const Path& path) {
  std::vector<std::string> names;
  for (const auto& [name, any] : protos) names.push_back(name);
  std::ranges::sort(names);  // the same message always gives the same first error
  router::FilterOverrides out;
  for (const std::string& name : names) {
    const Path here = path.entry("typed_per_filter_config", name);
    auto entry = read_entry(protos.at(name), here);
    if (!entry.ok()) return entry.status();
    const http::FilterRegistration* filter =
        context.registries.http.find_by_route_type(entry->config.type);
    if (filter == nullptr) {
      const std::string what = absl::StrCat("unknown type ", entry->config.type);
      if (!entry->optional) return here.error(what);
      REMORA_TRY(context.not_honoured(here, what, false));
      continue;
    }
    const std::string at = here.str();
    auto made = filter->make_route_config(entry->config.bytes, {context.stats, context, at});
    if (!made.ok()) return prefixed(at, made.status());
    out.emplace(name, router::FilterOverride{filter->route_type, *std::move(made)});
  }
  return out;
}

}  // namespace remora::xds::translate
