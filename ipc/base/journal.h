// Lines of the log as entries of systemd's journal, with what they say in fields of their own, so
// that a person can ask for all about one client, or for one kind of event, and a script can wait
// for it:
//
//   journalctl -u uarenad UARENA_CLIENT=7
//   journalctl -u uarenad UARENA_EVENT=quota.denied
//
// Every event has a MESSAGE_ID that never changes, for catalogs and for tools that know nothing of
// us: the UUID of version 5 (RFC 4122, 4.3) of its name in our namespace. The journal is spoken to
// as systemd's "Native Journal Protocol" says, not by sd_journal_send(3), which waits while the
// journal is full: a broker that waits for its log would have clients wait for it.
#pragma once

#include <string>
#include <string_view>

#include "ipc/base/log.h"

namespace uarena {

inline constexpr std::string_view kMessageNamespace = "9c0f3a52-6b1e-5d7a-8f24-3f0e1d9b7c61";
inline constexpr std::string_view kJournalSocket = "/run/systemd/journal/socket";

// 32 hexadecimal digits, as MESSAGE_ID is written.
std::string message_id(std::string_view event);

// From now on log() writes there, if standard error is the journal's ($JOURNAL_STREAM, as systemd
// sets it); else nothing changes. What the journal does not take goes to standard error.
void log_to_journal(std::string_view identifier, std::string_view socket = kJournalSocket);

}  // namespace uarena
