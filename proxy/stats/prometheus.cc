#include "proxy/stats/prometheus.h"

#include <absl/strings/ascii.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "proxy/base/string_map.h"

namespace remora::stats {

namespace {

std::string sanitized(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_') c = '_';
  }
  return out;
}

prometheus::MetricType type_of(Kind kind) {
  if (kind == Kind::Counter) return prometheus::MetricType::Counter;
  if (kind == Kind::Histogram) return prometheus::MetricType::Histogram;
  return prometheus::MetricType::Gauge;
}

void fill_histogram(const HistogramSnapshot& from, prometheus::ClientMetric::Histogram& to) {
  to.sample_count = from.count;
  to.sample_sum = static_cast<double>(from.sum);
  const auto& bounds = from.bounds->bounds();
  to.bucket.reserve(bounds.size() + 1);
  uint64_t total = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    if (!from.counts.empty()) total += from.counts[i];
    to.bucket.push_back({total, bounds[i]});
  }
  to.bucket.push_back({from.count, std::numeric_limits<double>::infinity()});
}

prometheus::ClientMetric to_prometheus(const Metric& metric) {
  prometheus::ClientMetric out;
  out.label.reserve(metric.tags.size());
  for (const Tag& tag : metric.tags) out.label.push_back({sanitized(tag.name), tag.value});
  if (metric.kind == Kind::Histogram) {
    fill_histogram(*metric.histogram, out.histogram);
  } else if (metric.kind == Kind::Counter) {
    out.counter.value = static_cast<double>(metric.value);
  } else {
    out.gauge.value = static_cast<double>(metric.value);
  }
  return out;
}

}  // namespace

std::string prometheus_name(std::string_view base_name, bool own_namespace) {
  return (own_namespace ? "" : "envoy_") + sanitized(base_name);
}

std::vector<prometheus::MetricFamily> prometheus_families(Store& store, const Query& query) {
  std::vector<prometheus::MetricFamily> families;
  StringMap<size_t> index;  // by name and type
  std::string key;
  store.scrape([&](const Metric& metric) {
    if (metric.kind == Kind::Text || !query.wants(metric)) return;
    key.assign(metric.base_name);
    key += metric.own_namespace ? '!' : ' ';
    key += static_cast<char>('0' + static_cast<int>(metric.kind));
    auto at = index.find(key);
    if (at == index.end()) {
      at = index.emplace(key, families.size()).first;
      families.push_back({prometheus_name(metric.base_name, metric.own_namespace), "", type_of(metric.kind), {}});
    }
    families[at->second].metric.push_back(to_prometheus(metric));
  });
  std::sort(families.begin(), families.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return families;
}

std::string prometheus_text(Store& store, const Query& query) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, prometheus_families(store, query));
  return std::move(out).str();
}

}  // namespace remora::stats
