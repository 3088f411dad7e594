#include "proxy/stats/stats_text.h"

#include <absl/strings/str_cat.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

namespace remora::stats {

namespace {

/// Metrics that were asked for, in the order in which they are shown.
struct Sorted {
  struct Named {
    std::string name;
    std::string text;
    uint64_t value = 0;
  };
  struct Distribution {
    std::string name;
    HistogramSnapshot all, interval;
  };
  std::vector<Named> texts, numbers;
  std::vector<Distribution> histograms;

  Sorted(Store& store, const Query& query) {
    store.scrape(
        [&](const Metric& metric) {
          if (!query.wants(metric)) return;
          if (metric.kind == Kind::Histogram) {
            histograms.push_back(
                {std::string(metric.name), *metric.histogram,
                 metric.interval != nullptr ? *metric.interval : HistogramSnapshot()});
          } else if (metric.kind == Kind::Text) {
            texts.push_back({std::string(metric.name), std::string(metric.text), 0});
          } else {
            numbers.push_back({std::string(metric.name), "", metric.value});
          }
        },
        query.show());
    auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
    std::sort(texts.begin(), texts.end(), by_name);
    std::sort(numbers.begin(), numbers.end(), by_name);
    std::sort(histograms.begin(), histograms.end(), by_name);
  }
};

/// At most six significant digits, as Envoy prints quantiles.
std::string number(double value) { return std::isnan(value) ? "nan" : fmt::format("{:g}", value); }

/// How many of `snapshot` a bucket shows.
uint64_t bucket_count(const HistogramSnapshot& snapshot, size_t i, HistogramStyle style) {
  if (style == HistogramStyle::Cumulative) return snapshot.cumulative(i);
  return i < snapshot.counts.size() ? snapshot.counts[i] : 0;
}

std::string histogram_line(const Sorted::Distribution& histogram, HistogramStyle style) {
  if (histogram.all.count == 0) return "No recorded values";
  std::string out;
  if (style == HistogramStyle::Quantiles) {
    for (double q : kQuantiles) {
      fmt::format_to(std::back_inserter(out), "{}P{:g}({},{})", out.empty() ? "" : " ", q,
                     number(histogram.interval.quantile(q)), number(histogram.all.quantile(q)));
    }
    return out;
  }
  const auto& bounds = histogram.all.bounds->bounds();
  for (size_t i = 0; i < bounds.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}B{:g}({},{})", out.empty() ? "" : " ", bounds[i],
                   bucket_count(histogram.interval, i, style),
                   bucket_count(histogram.all, i, style));
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json_number(double value) {
  return std::isnan(value) ? "null" : fmt::format("{:g}", value);
}

template <class Range, class F>
std::string json_list(const Range& range, F&& item) {
  std::string out = "[";
  for (const auto& value : range) {
    if (out.size() > 1) out += ',';
    out += item(value);
  }
  return out + ']';
}

std::string json_quantiles(const std::vector<Sorted::Distribution>& histograms) {
  std::string computed = json_list(histograms, [](const Sorted::Distribution& histogram) {
    std::string values = json_list(kQuantiles, [&](double q) {
      return fmt::format("{{\"cumulative\":{},\"interval\":{}}}",
                         json_number(histogram.all.quantile(q)),
                         json_number(histogram.interval.quantile(q)));
    });
    return absl::StrCat("{\"name\":", json_string(histogram.name), ",\"values\":", values, "}");
  });
  std::string supported = json_list(kQuantiles, [](double q) { return fmt::format("{:g}", q); });
  return absl::StrCat("{\"supported_quantiles\":", supported, ",\"computed_quantiles\":", computed,
                      "}");
}

std::string json_buckets(const std::vector<Sorted::Distribution>& histograms,
                         HistogramStyle style) {
  return json_list(histograms, [style](const Sorted::Distribution& histogram) {
    size_t i = 0;
    std::string buckets = json_list(histogram.all.bounds->bounds(), [&](double bound) {
      std::string out = fmt::format("{{\"upper_bound\":{:g},\"interval\":{},\"cumulative\":{}}}",
                                    bound, bucket_count(histogram.interval, i, style),
                                    bucket_count(histogram.all, i, style));
      ++i;
      return out;
    });
    return absl::StrCat("{\"name\":", json_string(histogram.name), ",\"buckets\":", buckets, "}");
  });
}

}  // namespace

std::string stats_text(Store& store, const Query& query) {
  Sorted sorted(store, query);
  std::string out;
  for (const auto& text : sorted.texts) absl::StrAppend(&out, text.name, ": \"", text.text, "\"\n");
  for (const auto& number : sorted.numbers)
    absl::StrAppend(&out, number.name, ": ", number.value, "\n");
  for (const auto& histogram : sorted.histograms) {
    absl::StrAppend(&out, histogram.name, ": ", histogram_line(histogram, query.histograms), "\n");
  }
  return out;
}

std::string stats_json(Store& store, const Query& query) {
  Sorted sorted(store, query);
  std::string out = "{\"stats\":[";
  auto add = [&out](const std::string& item) {
    if (out.back() != '[') out += ',';
    out += item;
  };
  for (const auto& text : sorted.texts) {
    add(absl::StrCat("{\"name\":", json_string(text.name), ",\"value\":", json_string(text.text),
                     "}"));
  }
  for (const auto& number : sorted.numbers) {
    add(absl::StrCat("{\"name\":", json_string(number.name), ",\"value\":", number.value, "}"));
  }
  if (!sorted.histograms.empty()) {
    add(absl::StrCat("{\"histograms\":",
                     query.histograms == HistogramStyle::Quantiles
                         ? json_quantiles(sorted.histograms)
                         : json_buckets(sorted.histograms, query.histograms),
                     "}"));
  }
  return out + "]}";
}

}  // namespace remora::stats
