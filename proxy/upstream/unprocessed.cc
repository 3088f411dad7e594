#include "proxy/upstream/unprocessed.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace remora::upstream {

Fate fate_after_end(int fd, uint64_t sent) {
  // The state first: once it is reset nothing more is acknowledged.
  tcp_info info = {};
  socklen_t size = sizeof(info);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return Fate::Unclear;
  int unacknowledged = 0;
  if (::ioctl(fd, SIOCOUTQ, &unacknowledged) != 0 || unacknowledged < 0) return Fate::Unclear;
  if (static_cast<uint64_t>(unacknowledged) < sent) return Fate::Unclear;
  if (info.tcpi_state == TCP_CLOSE_WAIT) return Fate::Open;
  return info.tcpi_state == TCP_CLOSE ? Fate::Refused : Fate::Unclear;
}

}  // namespace remora::upstream
