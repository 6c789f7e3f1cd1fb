#include "broker/takeover.h"

#include <fcntl.h>

#include <cstring>

#include "ipc/base/log.h"
#include "ipc/close_untrusted.h"
#include "ipc/codec.h"

namespace uarena::broker {
namespace {

using Kind = EstateEntry::Kind;

Fd extract(EstateEntries& entries, const EstateEntry& entry) {
  auto node = entries.extract(entry);
  return node ? std::move(node.mapped()) : Fd();
}

// All entries of a kind, in order.
std::vector<EstateEntry> all_of(const EstateEntries& entries, Kind kind) {
  std::vector<EstateEntry> found;
  for (auto i = entries.lower_bound({kind}); i != entries.end() && i->first.kind == kind; ++i)
    found.push_back(i->first);
  return found;
}

void lost(const EstateEntry& entry, const Error& error, bool kept = false) {
  log(LogLevel::error, "takeover.lost",
      {{"name", entry.name()}, {"kept", kept}, {"errno", error.code}, {"error", error.message}});
}

// Ours can't be resized, and whoever has put another file in its place has not put an arena there.
bool is_memory_file(const Fd& fd) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;
  const int seals = fd ? ::fcntl(fd.get(), F_GET_SEALS) : -1;
  return seals >= 0 && (seals & kSeals) == kSeals;
}

Result<void> take_over_arena(uint64_t id, Fd memory, Fd state, ArenaRegistry& arenas,
                             AccountTable& accounts) {
  if (!memory) return fail(ENOENT, "its memory file is not there");
  auto arena = Arena::open_untrusted(std::move(memory), std::move(state),
                                     [&](uint32_t uid) -> Account& { return accounts.of(uid); });
  if (!arena) return std::unexpected(arena.error());
  if ((*arena)->id() != id) return fail(EINVAL, "it is arena {}'s", (*arena)->id());
  return arenas.adopt(std::move(*arena));
}

Result<void> take_over_object(const EstateEntry& entry, EstateEntries& entries,
                              ProgramRegistry& programs, AccountTable& accounts) {
  auto file = ObjectFile::open_untrusted(extract(entries, entry));
  if (!file) return std::unexpected(file.error());
  if (file->object().id != entry.first) return fail(EINVAL, "it is object {}'s", file->object().id);
  Account& account = accounts.of(file->object().owner_uid);
  return programs.load_again(
      std::move(*file),
      [&](size_t map) -> std::optional<Fd> {
        Fd bytes = extract(entries, {Kind::map, entry.first, map});
        return bytes ? std::optional(std::move(bytes)) : std::nullopt;
      },
      account);
}

// The number of the request at the front of a run channel.
std::optional<uint64_t> request_at_hand(const Fd& channel) {
  const auto record = ipc::peek_record(channel.get(), ipc::Wait::no);
  uarena_msg header{};
  if (!record || record->bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, record->bytes.data(), sizeof header);
  return header.seq;
}

}  // namespace

EstateEntries take_entries(Inherited& inherited) {
  EstateEntries entries;
  const auto is_ours = [](std::string_view name) {
    return EstateEntry::parse_untrusted(name).has_value();
  };
  for (NamedFd& named : inherited.take_all(is_ours))
    entries.insert_or_assign(*EstateEntry::parse_untrusted(named.name), std::move(named.fd));
  return entries;
}

Result<std::unique_ptr<Estate>> open_estate(FdStore& store, EstateEntries& entries) {
  Fd ledger = extract(entries, {Kind::ledger});
  return ledger ? Estate::open_untrusted(store, std::move(ledger)) : Estate::create(store);
}

void take_over_arenas(EstateEntries& entries, Estate& estate, ArenaRegistry& arenas,
                      AccountTable& accounts) {
  for (const EstateEntry& entry : all_of(entries, Kind::state)) {
    const EstateEntry memory{Kind::memory, entry.first};
    Fd memory_fd = extract(entries, memory), state_fd = extract(entries, entry);
    const bool an_arenas = is_memory_file(memory_fd) && is_memory_file(state_fd);
    auto taken =
        take_over_arena(entry.first, std::move(memory_fd), std::move(state_fd), arenas, accounts);
    if (taken) continue;
    lost(entry, taken.error(), an_arenas);
    if (an_arenas) continue;
    estate.strike(entry);
    estate.strike(memory);
  }
}

void take_over_objects(EstateEntries& entries, Estate& estate, ProgramRegistry& programs,
                       AccountTable& accounts) {
  for (const EstateEntry& entry : all_of(entries, Kind::object)) {
    auto taken = take_over_object(entry, entries, programs, accounts);
    if (taken) continue;
    lost(entry, taken.error());
    estate.strike(entry);
    for (const EstateEntry& map : all_of(entries, Kind::map))
      if (map.first == entry.first) estate.strike(map);
  }
}

void mark_cut_off_runs(const EstateEntries& entries, const Estate& estate,
                       const ProgramRegistry& programs) {
  for (const auto& [entry, fd] : entries) {
    if (entry.kind != Kind::run || entry.second >= Ledger::kSlots) continue;
    Ledger::Slot& slot = estate.ledger().slot(static_cast<uint32_t>(entry.second));
    const uint64_t begun = slot.begun;
    if (begun == 0 || slot.program == 0 || request_at_hand(fd) != begun - 1) continue;
    const auto program = programs.find(slot.program);
    log(LogLevel::warning, "run.cut_off",
        {{"client", entry.first},
         {"program", slot.program.load()},
         {"name", program ? program->name : ""}});
    if (program && program->object->arena)
      program->object->arena->note_cut_off_run(CutOff::death, program->id, program->name,
                                               slot.begun_ns);
    slot.program = 0;  // so that our successor, should we die before it is answered, does not
  }
}

std::vector<LeftClient> take_over_clients(EstateEntries& entries) {
  std::vector<LeftClient> clients;
  for (const EstateEntry& entry : all_of(entries, Kind::client)) {
    LeftClient client;
    client.id = entry.first;
    client.socket = extract(entries, entry);
    for (const EstateEntry& its : all_of(entries, Kind::guards))
      if (its.first == client.id) client.guards.emplace(its.second, extract(entries, its));
    for (const Kind kind : {Kind::uffd, Kind::full_uffd, Kind::direct, Kind::run}) {
      for (const EstateEntry& its : all_of(entries, kind)) {
        if (its.first != client.id) continue;
        auto& list = kind == Kind::run ? client.channels : client.attachments;
        list.emplace_back(its, extract(entries, its));
      }
    }
    clients.push_back(std::move(client));
  }
  return clients;
}

void close_left(LeftClient& client) {
  std::vector<Fd> fds;
  for (auto& [entry, fd] : client.attachments) fds.push_back(std::move(fd));
  for (auto& [arena, fd] : client.guards) fds.push_back(std::move(fd));
  ipc::close_untrusted(std::move(fds));
  for (auto& [entry, fd] : client.channels) ipc::close_connection(std::move(fd));
  ipc::close_connection(std::move(client.socket));
}

void drop_entries(EstateEntries& entries, Estate& estate) {
  std::vector<Fd> fds;
  for (auto& [entry, fd] : entries) {
    estate.strike(entry);
    fds.push_back(std::move(fd));
  }
  entries.clear();
  ipc::close_untrusted(std::move(fds));
}

}  // namespace uarena::broker
