#include "proxy/server/dns_cache_service.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "proxy/base/string_map.h"

namespace remora::server {
namespace {

using upstream::DnsAnswer;
using upstream::DnsCache;
using upstream::DnsCacheConfig;
using Main = upstream::DnsCacheMainStat;
using upstream::DnsResolver;
using upstream::ResolvedName;
using upstream::ResolvedNamePtr;

constexpr size_t kMostAddresses = 64;  // of a name: a server may say thousands

}  // namespace

/// The names of one cache.
class DnsCacheService::Names {
 public:
  Names(DnsCacheService& service, const std::shared_ptr<DnsCache>& cache,
        std::unique_ptr<DnsResolver> resolver)
      : service_(service),
        cache_(cache),
        config_(cache->config()),
        resolver_(std::move(resolver)) {}

  std::shared_ptr<DnsCache> cache() const { return cache_.lock(); }
  bool is_of(const std::weak_ptr<DnsCache>& cache) const {
    return !cache_.owner_before(cache) && !cache.owner_before(cache_);
  }
  const DnsCacheConfig& config() const { return config_; }
  DnsCacheService& service() { return service_; }
  DnsResolver& resolver() { return *resolver_; }

  void ask(const std::string& key, uint32_t thread);
  void forget(const std::string& key);
  void show() const;

 private:
  DnsCacheService& service_;
  const std::weak_ptr<DnsCache> cache_;
  const DnsCacheConfig config_;
  const std::unique_ptr<DnsResolver> resolver_;
  StringMap<std::unique_ptr<Name>> names_;
};

/// One name: the question in flight, what is known, the timer of the next look-up.
class DnsCacheService::Name {
 public:
  Name(Names& names, std::string key)
      : names_(names),
        key_(std::move(key)),
        failure_step_ms_(names.config().failure_base_ms),
        last_used_(std::make_shared<std::atomic<MonotonicMs>>(now())),
        refresh_(timers(), Timer::bind<&Name::on_refresh, Name>(), this),
        timeout_(timers(), Timer::bind<&Name::on_timeout, Name>(), this) {
    resolve();
  }

  const ResolvedNamePtr& known() const { return known_; }

 private:
  TimerWheel& timers() { return names_.service().context_.timers(); }
  MonotonicMs now() { return names_.service().context_.loop().now_ms(); }

  void resolve() {
    count(Main::dns_query_attempt);
    const upstream::HostAndPort parts = upstream::parts_of_key(key_);
    query_ = names_.resolver().resolve(parts.host, names_.config().family,
                                       [this](const DnsAnswer& answer) { on_answer(answer); });
    timeout_.arm(names_.config().query_timeout_ms);
  }

  void on_answer(const DnsAnswer& answer) {
    query_.reset();
    timeout_.disarm();
    count(answer.ok ? Main::dns_query_success : Main::dns_query_failure);
    std::string failure = answer.failure;
    std::ranges::replace(failure, ' ', '_');
    settle(answer, absl::StrCat(answer.ok ? "cares_norecords:" : "cares_failure:", failure));
  }

  void on_timeout() {
    query_.reset();
    count(Main::dns_query_failure);
    count(Main::dns_query_timeout);
    settle({}, "resolve_timeout");
  }

  /// What was known stays over an answer without addresses.
  void settle(const DnsAnswer& answer, std::string failure) {
    look_again_in(answer.records.empty() ? failure_delay() : refresh_delay(answer));
    auto name = std::make_shared<ResolvedName>();
    const uint16_t port = upstream::parts_of_key(key_).port;
    for (const upstream::DnsRecord& record : answer.records) {
      if (name->addresses.size() == kMostAddresses) break;
      const Address address = record.address.with_port(port);
      if (std::ranges::find(name->addresses, address) == name->addresses.end()) {
        name->addresses.push_back(address);
      }
    }
    if (known_ != nullptr && (name->addresses.empty() || same(name->addresses))) return;
    if (!name->addresses.empty()) count(Main::host_address_changed);
    name->key = key_;
    name->failure = std::move(failure);
    name->last_used = last_used_;
    known_ = std::move(name);
    const auto cache = names_.cache();
    if (cache == nullptr) return;
    names_.service().publisher_.post_all([&](size_t) { return DeliverName{cache, key_, known_}; });
  }

  /// Order says nothing: servers rotate their answers.
  bool same(const std::vector<Address>& addresses) const {
    const std::vector<Address>& before = known_->addresses;
    return before.size() == addresses.size() &&
           std::is_permutation(before.begin(), before.end(), addresses.begin());
  }

  uint64_t refresh_delay(const DnsAnswer& answer) {
    failure_step_ms_ = names_.config().failure_base_ms;
    uint64_t ttl_s = UINT32_MAX;
    for (const auto& record : answer.records) ttl_s = std::min<uint64_t>(ttl_s, record.ttl_s);
    const uint64_t delay = ttl_s > 0 ? ttl_s * 1000 : names_.config().refresh_ms;
    return std::max(delay, names_.config().min_refresh_ms);
  }

  /// Fixed when base and maximum are the same; else exponential, any value up to the step.
  uint64_t failure_delay() {
    const DnsCacheConfig& config = names_.config();
    if (config.failure_base_ms >= config.failure_max_ms) return config.failure_base_ms;
    const uint64_t step = std::max<uint64_t>(failure_step_ms_, 1);
    failure_step_ms_ = std::min(step * 2, config.failure_max_ms);
    return std::max<uint64_t>(names_.service().context_.random() % step, 1);
  }

  /// Whether anybody uses it is seen in time, however long the answer claims to live.
  void look_again_in(uint64_t delay_ms) {
    resolve_at_ = now() + delay_ms;
    refresh_.arm(std::min(delay_ms, names_.config().host_ttl_ms));
  }

  void on_refresh() {
    if (names_.cache() == nullptr) return names_.service().forget_unused();  // destroys this
    // The clock of the worker that used it last may be ahead of this thread's.
    const MonotonicMs unused_at =
        last_used_->load(std::memory_order_relaxed) + names_.config().host_ttl_ms;
    if (now() >= unused_at) return names_.forget(key_);  // destroys this
    if (now() < resolve_at_) return look_again_in(resolve_at_ - now());
    resolve();
  }

  void count(Main stat) {
    if (const auto cache = names_.cache()) cache->stats().inc(stat);
  }

  Names& names_;
  const std::string key_;
  uint64_t failure_step_ms_;
  const std::shared_ptr<std::atomic<MonotonicMs>> last_used_;
  ResolvedNamePtr known_;  // null before the first answer
  MonotonicMs resolve_at_ = 0;
  std::unique_ptr<upstream::DnsQuery> query_;
  Timer refresh_;
  Timer timeout_;
};

void DnsCacheService::Names::ask(const std::string& key, uint32_t thread) {
  const auto cache = cache_.lock();
  if (cache == nullptr) return;
  const auto tell = [&](ResolvedNamePtr name) {
    if (thread < service_.publisher_.workers()) {
      service_.publisher_.post(thread, DeliverName{cache, key, std::move(name)});
    }
  };
  const auto found = names_.find(key);
  if (found != names_.end()) {
    if (found->second->known() != nullptr) tell(found->second->known());
    return;  // otherwise all will hear
  }
  if (names_.size() >= config_.max_hosts) {
    cache->stats().inc(Main::host_overflow);
    return tell(nullptr);
  }
  cache->stats().inc(Main::host_added);
  names_[key] = std::make_unique<Name>(*this, key);
}

void DnsCacheService::Names::forget(const std::string& key) {
  const std::string name = key;  // it is the forgotten one's own
  if (const auto cache = cache_.lock()) {
    cache->stats().inc(Main::host_removed);
    service_.publisher_.post_all([&](size_t) { return ForgetName{cache, name}; });
  }
  names_.erase(name);
}

void DnsCacheService::Names::show() const {
  const auto cache = cache_.lock();
  if (cache == nullptr) return;
  const uint64_t pending = cache->pending();
  const uint64_t limit = config_.max_pending;
  cache->stats().set(Main::num_hosts, names_.size());
  cache->stats().set(Main::rq_pending_open, pending >= limit ? 1 : 0);
  cache->stats().set(Main::rq_pending_remaining, limit > pending ? limit - pending : 0);
}

DnsCacheService::DnsCacheService(WorkerContext& context, Publisher& publisher, stats::Store& stats)
    : context_(context),
      publisher_(publisher),
      stats_(stats),
      before_scrape_(stats.before_scrape([this] {
        for (const auto& names : caches_) names->show();
      })),
      asked_(context.loop(), &DnsCacheService::on_asked, this) {}

DnsCacheService::~DnsCacheService() = default;

absl::StatusOr<std::shared_ptr<DnsCache>> DnsCacheService::open(const DnsCacheConfig& config) {
  forget_unused();
  for (const auto& names : caches_) {
    if (names->config().name != config.name) continue;
    auto cache = names->cache();
    if (cache == nullptr) continue;  // a worker has let go of it just now
    if (names->config() == config) return cache;
    return absl::InvalidArgumentError(
        absl::StrCat("config specified DNS cache '", config.name, "' with different settings"));
  }
  DnsResolver::Options options;
  options.servers = config.servers;
  auto resolver = DnsResolver::create(context_.loop(), std::move(options));
  if (!resolver.ok()) return resolver.status();
  upstream::DnsCacheResolver& service = *this;
  auto cache = std::make_shared<DnsCache>(
      config, static_cast<uint32_t>(publisher_.workers()) + 1, service,
      stats_.group<upstream::DnsCacheSchema>(absl::StrCat("dns_cache.", config.name)));
  caches_.push_back(std::make_unique<Names>(*this, cache, *std::move(resolver)));
  for (const std::string& key : config.preresolve) caches_.back()->ask(key, context_.index());
  return cache;
}

void DnsCacheService::ask(std::weak_ptr<DnsCache> cache, std::string key, uint32_t thread) {
  asked_.post({std::move(cache), std::move(key), thread});
}

void DnsCacheService::on_asked(void* self, Question&& question) {
  auto& service = *static_cast<DnsCacheService*>(self);
  for (const auto& names : service.caches_) {
    if (names->is_of(question.cache)) return names->ask(question.key, question.thread);
  }
}

void DnsCacheService::forget_unused() {
  caches_.remove_if([](const auto& names) { return names->cache() == nullptr; });
}

}  // namespace remora::server
