// Writing and replaying the redo record; the order of stores is in the header's first comment.
#include "broker/state_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "broker/arena_attr.h"
#include "broker/checksum.h"
#include "broker/death_point.h"
#include "broker/memory_file.h"
#include "ipc/base/log.h"

namespace uarena::broker {

namespace format = state_format;

namespace {

uint64_t header_checksum(const format::Header& header) {
  uint64_t words[sizeof(header) / 8];
  std::memcpy(words, &header, sizeof(header));
  return checksum_words(std::span(words).first(offsetof(format::Header, checksum) / 8));
}

format::Header header_of(const ArenaIdentity& identity) {
  format::Header header = {};
  header.magic = format::kMagic;
  header.version = format::kVersion;
  header.header_size = sizeof(header);
  header.arena_id = identity.id;
  header.user_vm_start = identity.user_vm_start;
  header.map_extra = identity.attr.map_extra;
  header.created_ns = identity.created_ns;
  header.max_entries = identity.attr.max_entries;
  header.map_flags = identity.attr.map_flags;
  header.owner_uid = identity.owner_uid;
  header.creator_client = identity.creator_client;
  header.creator_seq = identity.creator_seq;
  header.fault = static_cast<uint32_t>(identity.faulting.way);
  header.fault_around = identity.faulting.around;
  UARENA_ASSERT(identity.name.size() < sizeof(header.name), "name {}", identity.name);
  std::memcpy(header.name, identity.name.data(), identity.name.size());
  header.checksum = header_checksum(header);
  return header;
}

Result<void> write_all(int fd, const void* bytes, size_t size, uint64_t offset) {
  const ssize_t n = ::pwrite(fd, bytes, size, static_cast<off_t>(offset));
  if (n != static_cast<ssize_t>(size))
    return fail_errno(n < 0 ? errno : EIO, "cannot write a state file");
  return {};
}

Result<ArenaIdentity> read_header_untrusted(int fd) {
  format::Header header = {};
  if (::pread(fd, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header)))
    return fail(EINVAL, "a state file has at least {} bytes", format::file_size(1));
  if (header.magic != format::kMagic)
    return fail(EINVAL, "not a state file: it begins with {:#x}", header.magic);
  if (header.version < format::kOldestVersion || header.version > format::kVersion)
    return fail(Why::version, EPROTONOSUPPORT, "state file of version {}, this broker knows {}..{}",
                header.version, format::kOldestVersion, format::kVersion);
  if (header.header_size != sizeof(header) || header.checksum != header_checksum(header))
    return fail(EINVAL, "the state file's header is damaged");
  ArenaIdentity identity;
  identity.id = header.arena_id;
  identity.name.assign(header.name, ::strnlen(header.name, sizeof(header.name)));
  identity.attr.max_entries = header.max_entries;
  identity.attr.map_flags = header.map_flags;
  identity.attr.map_extra = header.map_extra;
  identity.user_vm_start = header.user_vm_start;
  identity.owner_uid = header.owner_uid;
  identity.created_ns = header.created_ns;
  identity.creator_client = header.creator_client;
  identity.creator_seq = header.creator_seq;
  identity.faulting = {static_cast<FaultWay>(header.fault), header.fault_around};
  if (auto ok = check_name_untrusted(identity.name); !ok) return std::unexpected(ok.error());
  if (identity.id == 0) return fail(EINVAL, "the state file's arena has no number");
  if (header.map_extra != 0 && header.map_extra != header.user_vm_start)
    return fail(EINVAL, "the state file's arena is at {:#x}, but was wanted at {:#x}",
                header.user_vm_start, header.map_extra);
  ArenaAttr placed = identity.attr;  // the real address must obey the rules of map_extra, too
  placed.map_extra = header.user_vm_start;
  if (auto ok = check_attr_untrusted(placed); !ok) return std::unexpected(ok.error());
  if (header.fault > static_cast<uint32_t>(FaultWay::direct))
    return fail(EINVAL, "the state file's way of faults is {}", header.fault);
  if (auto ok = check_faulting_untrusted(identity.attr, identity.faulting); !ok)
    return std::unexpected(ok.error());
  return identity;
}

// The file can't shrink under the mapping, and has exactly the size that its header says.
Result<void> check_file_untrusted(int fd, uint64_t size) {
  return check_sealed_memfd_untrusted(fd, size, "the state file");
}

Result<MemoryMap> map_file(int fd, uint64_t size) {
  return MemoryMap::create(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0,
                           "a state file");
}

}  // namespace

StateFile::StateFile(Fd fd, MemoryMap map, ArenaIdentity identity)
    : fd_(std::move(fd)), map_(std::move(map)), identity_(std::move(identity)) {
  access_.uid = identity_.owner_uid;
  touched_.resize((page_count() + format::kEntriesPerBlock - 1) / format::kEntriesPerBlock);
}

Result<StateFile> StateFile::create(const ArenaIdentity& identity, ArenaAccess access) {
  const uint64_t size = format::file_size(identity.attr.max_entries);
  Result<Fd> fd = create_sealed_memfd("uarena-state-" + identity.name, size);
  if (!fd) return std::unexpected(fd.error());
  const format::Header header = header_of(identity);
  const uint64_t first = PageEntry::free_head(1).word();
  const uint64_t checksum = checksum_entry(0, first);
  for (auto written : {write_all(fd->get(), &header, sizeof(header), 0),
                       write_all(fd->get(), &checksum, 8, format::kTableChecksum),
                       write_all(fd->get(), &first, 8, format::entry_offset(0))})
    if (!written) return std::unexpected(written.error());
  Result<MemoryMap> map = map_file(fd->get(), size);
  if (!map) return std::unexpected(map.error());
  StateFile file(std::move(*fd), std::move(*map), identity);
  file.touched_[0] = true;
  access.uid = identity.owner_uid;
  file.set_access(access);
  return file;
}

Result<StateFile> StateFile::open_untrusted(Fd fd) {
  Result<ArenaIdentity> identity = read_header_untrusted(fd.get());
  if (!identity) return std::unexpected(identity.error());
  const uint64_t size = format::file_size(identity->attr.max_entries);
  if (auto ok = check_file_untrusted(fd.get(), size); !ok) return std::unexpected(ok.error());
  Result<MemoryMap> map = map_file(fd.get(), size);
  if (!map) return std::unexpected(map.error());

  StateFile file(std::move(fd), std::move(*map), std::move(*identity));
  if (auto ok = file.read_access_untrusted(); !ok) return std::unexpected(ok.error());
  if (auto ok = file.find_touched_blocks(); !ok) return std::unexpected(ok.error());
  if (auto ok = file.redo_untrusted(); !ok) return std::unexpected(ok.error());
  if (auto ok = file.verify_table_untrusted(); !ok) return std::unexpected(ok.error());
  return file;
}

void StateFile::store(uint64_t offset, uint64_t value) {
  auto& word = *reinterpret_cast<uint64_t*>(map_.data() + offset);
  std::atomic_ref(word).store(value, std::memory_order_release);
  if (log_ != nullptr) log_->push_back({offset, value});
}

uint64_t StateFile::load(uint64_t offset) const {
  return std::atomic_ref(*reinterpret_cast<uint64_t*>(map_.data() + offset))
      .load(std::memory_order_relaxed);
}

PageEntry StateFile::entry(uint32_t page) const {
  UARENA_ASSERT(page < page_count(), "page {} of {}", page, page_count());
  return PageEntry::from_word(touched(page) ? load(format::entry_offset(page)) : 0);
}

void StateFile::copy(uint32_t first, std::span<PageEntry> out) const {
  for (size_t i = 0; i < out.size();) {
    const uint32_t page = first + static_cast<uint32_t>(i);
    const size_t in_block = format::kEntriesPerBlock - page % format::kEntriesPerBlock;
    const size_t n = std::min(in_block, out.size() - i);
    for (size_t j = 0; j < n && touched(page); ++j)
      out[i + j] = PageEntry::from_word(load(format::entry_offset(page + j)));
    if (!touched(page)) std::fill_n(out.begin() + static_cast<ptrdiff_t>(i), n, PageEntry());
    i += n;
  }
}

void StateFile::apply(std::span<const Fill> fills) {
  UARENA_ASSERT(fills.size() <= kMaxFills, "{} fills", fills.size());
  const uint64_t sequence = load(format::kRetired) + 1;
  const uint64_t checksum = checksum_after(fills);
  write_record(sequence, fills, checksum);
  UARENA_DEATH_POINT("state.recorded");
  store(format::kPublished, sequence);
  UARENA_DEATH_POINT("state.published");
  write_entries(fills);
  UARENA_DEATH_POINT("state.written");
  store(format::kTableChecksum, checksum);
  store(format::kRetired, sequence);
}

void StateFile::set_access(const ArenaAccess& access) {
  const uint64_t at = format::access_offset(++access_count_);
  uint64_t words[format::kAccessWords] = {access_count_, access.uid | uint64_t{access.gid} << 32,
                                          access.mode};
  words[format::kAccessWords - 1] =
      checksum_words(std::span(words).first(format::kAccessWords - 1));
  for (size_t i = 0; i < format::kAccessWords; ++i) store(at + i * 8, words[i]);
  access_ = access;
}

// Death may have left one of the two half-written. Of both nobody but a forger makes nonsense, and
// what they said must not be guessed.
Result<void> StateFile::read_access_untrusted() {
  constexpr size_t kLast = format::kAccessWords - 1;
  for (uint64_t which = 0; which < 2; ++which) {
    uint64_t words[format::kAccessWords];
    for (size_t i = 0; i < format::kAccessWords; ++i)
      words[i] = load(format::access_offset(which) + i * 8);
    const bool whole = words[kLast] == checksum_words(std::span(words).first(kLast));
    if (!whole || (words[0] & 1) != which || words[0] <= access_count_) continue;
    if (words[2] > UARENA_MODE_ALL) continue;
    access_count_ = words[0];
    access_ = {static_cast<uid_t>(words[1]), static_cast<gid_t>(words[1] >> 32),
               static_cast<uint32_t>(words[2])};
  }
  const auto version = static_cast<uint32_t>(load(offsetof(format::Header, version)));
  if (access_count_ == 0 && version >= format::kFirstWithAccess)
    return fail(EINVAL, "the state file's owner and mode are damaged");
  return {};
}

void StateFile::set_cut_off_runs(const CutOffRuns& runs) {
  uint64_t words[format::kMarkWords] = {
      runs.count | static_cast<uint64_t>(runs.why) << format::kMarkWhyShift, runs.program_id,
      runs.when_ns};
  std::memcpy(&words[3], runs.program.data(), std::min(runs.program.size(), format::kNameSize - 1));
  constexpr size_t kLast = format::kMarkWords - 1;
  words[kLast] = checksum_words(std::span(words).first(kLast));
  for (size_t i = 0; i < format::kMarkWords; ++i) store(format::kMark + i * 8, words[i]);
}

CutOffRuns StateFile::cut_off_runs() const {
  uint64_t words[format::kMarkWords];
  for (size_t i = 0; i < format::kMarkWords; ++i) words[i] = load(format::kMark + i * 8);
  constexpr size_t kLast = format::kMarkWords - 1;
  if (words[0] == 0 || words[kLast] != checksum_words(std::span(words).first(kLast))) return {};
  const auto* text = reinterpret_cast<const char*>(&words[3]);
  const std::string name(text, ::strnlen(text, format::kNameSize));
  const uint64_t count = words[0] & ((uint64_t{1} << format::kMarkWhyShift) - 1);
  const auto why = static_cast<CutOff>(words[0] >> format::kMarkWhyShift);
  if (why > CutOff::gone) return {};  // no broker of this version has made it
  return {count, why, words[1], words[2], escaped(name)};
}

uint64_t StateFile::checksum_after(std::span<const Fill> fills) const {
  uint64_t checksum = load(format::kTableChecksum);
  for (size_t i = 0; i < fills.size(); ++i)
    for (uint32_t n = 0; n < fills[i].pages.count; ++n) {
      const uint32_t page = fills[i].pages.first + n;
      uint64_t old = entry(page).word();
      for (size_t j = 0; j < i; ++j)  // what the fills before this one have made of it
        if (page - fills[j].pages.first < fills[j].pages.count) old = fills[j].entry.word();
      checksum ^= checksum_entry(page, old) ^ checksum_entry(page, fills[i].entry.word());
    }
  return checksum;
}

void StateFile::write_record(uint64_t sequence, std::span<const Fill> fills, uint64_t checksum) {
  uint64_t words[format::kMaxRecordWords] = {sequence, fills.size(), checksum};
  size_t count = format::kRecordHead;
  for (const Fill& fill : fills) {
    words[count++] = fill.pages.first | uint64_t{fill.pages.count} << 32;
    words[count++] = fill.entry.word();
  }
  words[count] = checksum_words(std::span(words).first(count));
  for (size_t i = 0; i <= count; ++i) store(format::kRecord + i * 8, words[i]);
}

void StateFile::write_entries(std::span<const Fill> fills) {
  for (const Fill& fill : fills)
    for (uint64_t page = fill.pages.first; page < fill.pages.end(); ++page) {
      const size_t block = page / format::kEntriesPerBlock;
      if (!touched_[block] && fill.entry == PageEntry()) {  // holes stay holes
        page = (block + 1) * format::kEntriesPerBlock - 1;
        continue;
      }
      touched_[block] = true;
      store(format::entry_offset(page), fill.entry.word());
    }
}

Result<void> StateFile::find_touched_blocks() {
  const auto end = static_cast<off_t>(map_.size());
  off_t data = static_cast<off_t>(format::kTable);
  while ((data = ::lseek(fd_.get(), data, SEEK_DATA)) >= 0 && data < end) {
    touched_.at((static_cast<uint64_t>(data) - format::kTable) / kPageSize) = true;
    data = static_cast<off_t>((static_cast<uint64_t>(data) & kPageMask) + kPageSize);
    if (data >= end) return {};
  }
  if (data < 0 && errno != ENXIO) return fail_errno(errno, "cannot look for a state file's data");
  return {};
}

Result<void> StateFile::redo_untrusted() {
  const uint64_t retired = load(format::kRetired);
  const uint64_t published = load(format::kPublished);
  if (published == retired) return {};
  if (published != retired + 1)
    return fail(EINVAL, "the state file's journal is damaged: published {}, retired {}", published,
                retired);
  uint64_t words[format::kMaxRecordWords];
  for (size_t i = 0; i < std::size(words); ++i) words[i] = load(format::kRecord + i * 8);
  const uint64_t count = words[1];
  const size_t end = format::kRecordHead + 2 * std::min<uint64_t>(count, kMaxFills);
  if (words[0] != published || count > kMaxFills ||
      words[end] != checksum_words(std::span(words).first(end)))
    return fail(EINVAL, "the state file's redo record {} is damaged", published);
  Fill fills[kMaxFills];
  for (size_t i = 0; i < count; ++i) {
    const uint64_t pages = words[format::kRecordHead + 2 * i];
    fills[i] = {{static_cast<uint32_t>(pages), static_cast<uint32_t>(pages >> 32)},
                PageEntry::from_word(words[format::kRecordHead + 2 * i + 1])};
    if (fills[i].pages.end() > page_count() || !fills[i].entry.valid())
      return fail(EINVAL, "the state file's redo record names pages {}+{} of {}",
                  fills[i].pages.first, fills[i].pages.count, page_count());
  }
  write_entries(std::span(fills).first(count));
  store(format::kTableChecksum, words[2]);
  store(format::kRetired, published);
  return {};
}

Result<void> StateFile::verify_table_untrusted() const {
  uint64_t checksum = 0;
  for (uint32_t page = 0; page < page_count(); ++page) {
    if (!touched(page)) {
      page |= format::kEntriesPerBlock - 1;
      continue;
    }
    const PageEntry e = entry(page);
    if (!e.valid())
      return fail(EINVAL, "the state file's entry of page {} is {:#x}", page, e.word());
    checksum ^= checksum_entry(page, e.word());
  }
  if (checksum != load(format::kTableChecksum))
    return fail(EINVAL, "the state file's table has checksum {:#x}, its journal says {:#x}",
                checksum, load(format::kTableChecksum));
  return {};
}

}  // namespace uarena::broker
