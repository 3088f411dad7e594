#include "proxy/stats/prometheus.h"

#include <absl/strings/ascii.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <sstream>
#include <vector>

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

using Labels = std::vector<prometheus::ClientMetric::Label>;

/// A scrape kept compactly: a mesh has hundreds of thousands of series, and
/// prometheus::ClientMetric is large. Only one family at a time takes that form.
class Series {
 public:
  void add(const Metric& metric) {
    Family& family = families_[key_of(metric)];
    if (family.points.empty()) {
      family.name = prometheus_name(metric.base_name, metric.own_namespace);
      family.kind = metric.kind;
    }
    uint64_t value = metric.value;
    if (metric.kind == Kind::Histogram) {
      value = histograms_.size();
      histograms_.push_back(*metric.histogram);
    }
    family.points.push_back({labels_of(metric), value});
  }

  std::string text() const {
    std::vector<const Family*> sorted;
    for (const auto& [key, family] : families_) sorted.push_back(&family);
    std::sort(sorted.begin(), sorted.end(),
              [](const Family* a, const Family* b) { return a->name < b->name; });
    std::string out;
    std::ostringstream stream;
    for (const Family* family : sorted) {
      stream.str("");
      prometheus::TextSerializer().Serialize(stream, {to_prometheus(*family)});
      out += stream.view();
    }
    return out;
  }

 private:
  struct Point {
    uint32_t labels;  // in label_sets_
    uint64_t value;   // or an index in histograms_
  };
  struct Family {
    std::string name;
    Kind kind = Kind::Counter;
    std::vector<Point> points;
  };

  /// A family is a name and a type.
  std::string_view key_of(const Metric& metric) {
    key_.assign(metric.base_name);
    key_ += metric.own_namespace ? '!' : ' ';
    key_ += static_cast<char>('0' + static_cast<int>(metric.kind));
    return key_;
  }

  uint32_t labels_of(const Metric& metric) {
    key_.clear();
    for (const Tag& tag : metric.tags)
      key_.append(tag.name).append(1, '\0').append(tag.value).append(1, '\0');
    auto [at, added] = label_index_.try_emplace(key_, static_cast<uint32_t>(label_sets_.size()));
    if (added) {
      Labels& labels = label_sets_.emplace_back();
      labels.reserve(metric.tags.size());
      for (const Tag& tag : metric.tags) labels.push_back({sanitized(tag.name), tag.value});
    }
    return at->second;
  }

  prometheus::MetricFamily to_prometheus(const Family& family) const {
    prometheus::MetricFamily out{family.name, "", type_of(family.kind), {}};
    out.metric.reserve(family.points.size());
    for (const Point& point : family.points) {
      prometheus::ClientMetric& metric = out.metric.emplace_back();
      metric.label = label_sets_[point.labels];
      if (family.kind == Kind::Histogram) {
        fill_histogram(histograms_[point.value], metric.histogram);
      } else if (family.kind == Kind::Counter) {
        metric.counter.value = static_cast<double>(point.value);
      } else {
        metric.gauge.value = static_cast<double>(point.value);
      }
    }
    return out;
  }

  StringMap<Family> families_;
  StringMap<uint32_t> label_index_;
  std::vector<Labels> label_sets_;
  std::vector<HistogramSnapshot> histograms_;
  std::string key_;
};

}  // namespace

std::string prometheus_name(std::string_view base_name, bool own_namespace) {
  return (own_namespace ? "" : "envoy_") + sanitized(base_name);
}

std::string prometheus_text(Store& store, const Query& query) {
  Series series;
  store.scrape(
      [&](const Metric& metric) {
        if (metric.kind != Kind::Text && query.wants(metric)) series.add(metric);
      },
      query.show());
  return series.text();
}

}  // namespace remora::stats
