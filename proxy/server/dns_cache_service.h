// Looks up names for dynamic forward proxies, keeps them fresh, forgets those that nobody uses, and
// tells the workers. Owned by the Server; main thread only, but for ask(). It keeps no
// configuration alive: a cache that nobody uses is forgotten with its names.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "proxy/event/mailbox.h"
#include "proxy/server/publisher.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/dns/dns_resolver.h"
#include "proxy/upstream/dns_cache.h"
#include "proxy/upstream/worker_context.h"

namespace remora::server {

class DnsCacheService final : public upstream::DnsCacheSource, private upstream::DnsCacheResolver {
 public:
  DnsCacheService(WorkerContext& context, Publisher& publisher, stats::Store& stats);
  ~DnsCacheService();

  absl::StatusOr<std::shared_ptr<upstream::DnsCache>> open(
      const upstream::DnsCacheConfig& config) override;

 private:
  class Names;  // of one cache
  class Name;

  /// A worker wants to know a name.
  struct Question {
    std::weak_ptr<upstream::DnsCache> cache;
    std::string key;
    uint32_t thread;
  };

  void ask(std::weak_ptr<upstream::DnsCache> cache, std::string key, uint32_t thread) override;
  static void on_asked(void* self, Question&& question);
  void forget_unused();

  WorkerContext& context_;
  Publisher& publisher_;
  stats::Store& stats_;
  std::list<std::unique_ptr<Names>> caches_;
  std::shared_ptr<void> before_scrape_;
  Mailbox<Question> asked_;
};

}  // namespace remora::server
