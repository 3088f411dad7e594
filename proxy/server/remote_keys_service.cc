#include "proxy/server/remote_keys_service.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"

namespace remora::server {
namespace {

using upstream::RemoteKeys;
using upstream::RemoteKeysConfig;

/// Keys are fetched again so long before they expire.
constexpr uint64_t kRefreshAheadMs = 5000;

uint64_t refresh_after_ms(const RemoteKeysConfig& config) {
  return config.cache_ms - std::min(kRefreshAheadMs, config.cache_ms / 4);
}

}  // namespace

/// One document: the fetch in flight, its retries, the timer of the next one.
class RemoteKeysService::Entry {
 public:
  Entry(RemoteKeysService& service, const RemoteKeysConfig& config, std::string_view owner,
        Observer observer)
      : service_(service),
        config_(config),
        owner_(owner),
        observer_(std::move(observer)),
        timer_(service.context_.timers(), Timer::bind<&Entry::on_timer, Entry>(), this) {
    if (config_.fetch_at_once) timer_.arm(0);
  }

  bool is(const RemoteKeysConfig& config, std::string_view owner) const {
    return config_ == config && owner_ == owner;
  }
  std::shared_ptr<RemoteKeys> keys() const { return keys_.lock(); }
  bool is_of(const std::weak_ptr<RemoteKeys>& keys) const {
    return !keys_.owner_before(keys) && !keys.owner_before(keys_);
  }
  void set_keys(const std::shared_ptr<RemoteKeys>& keys) { keys_ = keys; }

  /// At once, unless one is in flight. Between retries, who asks waits for their end.
  void fetch() {
    if (fetch_ != nullptr || retries_used_ > 0) return;
    start();
  }

 private:
  void start() {
    upstream::FetchRequest request;
    request.cluster = config_.cluster;
    request.authority = config_.authority;
    request.path = config_.path;
    request.timeout_ms = config_.timeout_ms;
    request.max_body_bytes = tls::kMaxKeySetBytes;
    fetch_ = std::make_unique<upstream::HttpFetch>(
        service_.context_, std::move(request),
        [this](upstream::FetchResult result) { on_fetched(std::move(result)); });
  }

  void on_timer() {
    if (keys_.expired()) return service_.forget_unused();  // destroys this
    if (fetch_ == nullptr) start();
  }

  void on_fetched(upstream::FetchResult result) {
    fetch_.reset();
    if (keys_.expired()) return service_.forget_unused();  // destroys this
    const bool worth_a_retry = result.status == 0 || result.status >= 500;
    if (result.failure.empty() && result.status != 200) {
      result.failure = "status " + std::to_string(result.status);
    }
    std::shared_ptr<const tls::KeySet> set;
    if (result.failure.empty()) {
      auto parsed = tls::KeySet::parse(result.body);
      if (parsed.ok()) {
        set = *std::move(parsed);
      } else {
        result.failure = std::string(parsed.status().message());
      }
    }
    if (set == nullptr && worth_a_retry && retries_used_ < config_.retries) return retry();
    retries_used_ = 0;
    if (set == nullptr) {
      LOG_WARNING(jwt, "keys of {}{} (cluster {}) cannot be fetched: {}", config_.authority,
                  config_.path, config_.cluster, result.failure);
    }
    observer_(set != nullptr);
    settle(std::move(set));
  }

  /// Exponential with full jitter.
  void retry() {
    const uint64_t doubled = config_.retry_base_ms << std::min<uint32_t>(retries_used_, 16);
    const uint64_t bound = std::min(doubled, config_.retry_max_ms);
    ++retries_used_;
    timer_.arm(service_.context_.random() % (bound + 1));
  }

  void settle(std::shared_ptr<const tls::KeySet> set) {
    const MonotonicMs valid_until = service_.context_.loop().now_ms() + config_.cache_ms;
    if (set != nullptr) {
      timer_.arm(refresh_after_ms(config_));
    } else if (config_.fetch_at_once) {
      timer_.arm(config_.failed_refetch_ms);
    }
    if (auto keys = keys_.lock()) {
      service_.publisher_.post_all([&](size_t) { return DeliverKeys{keys, set, valid_until}; });
    }
  }

  RemoteKeysService& service_;
  const RemoteKeysConfig config_;
  const std::string owner_;
  const Observer observer_;
  std::weak_ptr<RemoteKeys> keys_;
  uint32_t retries_used_ = 0;
  std::unique_ptr<upstream::HttpFetch> fetch_;
  Timer timer_;
};

RemoteKeysService::RemoteKeysService(WorkerContext& context, Publisher& publisher)
    : context_(context),
      publisher_(publisher),
      asked_(context.loop(), &RemoteKeysService::on_asked, this) {}

RemoteKeysService::~RemoteKeysService() = default;

std::shared_ptr<RemoteKeys> RemoteKeysService::open(const RemoteKeysConfig& config,
                                                    std::string_view owner, Observer observer) {
  forget_unused();
  for (const auto& entry : entries_) {
    if (!entry->is(config, owner)) continue;
    if (auto keys = entry->keys()) return keys;
  }
  auto entry = std::make_unique<Entry>(*this, config, owner, std::move(observer));
  upstream::RemoteKeysFetcher& fetcher = *this;
  auto keys =
      std::make_shared<RemoteKeys>(config, static_cast<uint32_t>(publisher_.workers()), fetcher);
  entry->set_keys(keys);
  entries_.push_back(std::move(entry));
  return keys;
}

void RemoteKeysService::ask(std::weak_ptr<RemoteKeys> keys) { asked_.post(std::move(keys)); }

void RemoteKeysService::on_asked(void* self, std::weak_ptr<RemoteKeys>&& keys) {
  auto& service = *static_cast<RemoteKeysService*>(self);
  service.forget_unused();
  for (const auto& entry : service.entries_) {
    if (entry->is_of(keys)) return entry->fetch();
  }
}

void RemoteKeysService::forget_unused() {
  entries_.remove_if([](const auto& entry) { return entry->keys() == nullptr; });
}

}  // namespace remora::server
