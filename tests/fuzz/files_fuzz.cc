// What people and scripts read: the files of uarenafs, and the views of the command. Names come
// from whoever made a thing, numbers from a broker that need not be ours: a quote in a name that
// breaks a script's JSON, a newline that forges a line, an extent list that sends a read beyond its
// buffer.
//
// Samples are records of the wire format with anything in their fields, and for `mem` a list of
// extents with reads and seeks at any place. Checked: JSON, compact and indented, is one document
// that a strict parser takes, and compact it is one line; text is printable and its lines are as
// they have to be; reads and seeks of `mem` are those of a naive model, and ask the broker for
// nothing outside; a name stands for one node, and every node is below the root. The JSON parser is
// the library's that wrote it, but it checks what writing does not: UTF-8 above all.
#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>

#include "ipc/base/page.h"
#include "ipc/client/inspect.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/driver.h"
#include "tests/fuzz/files/samples.h"
#include "tests/tools/captured_output.h"
#include "tools/uarena/fault_views.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"
#include "tools/uarenafs/mem_file.h"
#include "tools/uarenafs/node.h"
#include "tools/uarenafs/text_files.h"

namespace uarena::fuzz {
namespace {

// Values from the front of an input; zeros behind its end.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> input) : rest_(input) {}
  template <typename T>
  T take() {
    T value{};
    const auto bytes = rest_.first(std::min(rest_.size(), sizeof value));
    std::ranges::copy(bytes, std::as_writable_bytes(std::span(&value, 1)).begin());
    rest_ = rest_.subspan(bytes.size());
    return value;
  }
  template <typename T>
  std::vector<T> some() {
    std::vector<T> values(take<uint8_t>() % kMostFileRecords);
    for (T& value : values) value = take<T>();
    return values;
  }
  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return text_of(rest_); }

 private:
  std::span<const std::byte> rest_;
};

std::string wrong_text(const std::string& text, const char* what) {
  for (const char c : text)
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n') || static_cast<unsigned char>(c) > '~')
      return fmt::format("{}: the byte {:#x} in text", what, static_cast<unsigned char>(c));
  return text.empty() || text.back() == '\n' ? "" : fmt::format("{}: no line's end", what);
}

// --- mem ---

// Pages that an extent list gives bytes to, and what these are.
struct Model {
  std::vector<uarena_page_extent> extents;
  uint64_t size = 0;

  bool is_data(uint64_t offset) const {
    const uint64_t page = offset / kPageSize;
    return std::ranges::any_of(extents, [page](const uarena_page_extent& extent) {
      return extent.origin != UARENA_ORIGIN_RESERVED && page >= extent.page &&
             page - extent.page < extent.count;
    });
  }
  std::byte at(uint64_t offset) const {
    return is_data(offset) ? std::byte(offset % 251 + 1) : std::byte{0};
  }
  uint64_t next(uint64_t offset, bool data) const {
    while (offset < size && is_data(offset) != data) offset = (offset / kPageSize + 1) * kPageSize;
    return std::min(offset, size);
  }
};

struct Access {
  uint64_t offset;
  uint32_t length;
  uint32_t what;
};

std::string memory(Reader& reader, Progress& progress) {
  Model model;
  model.size = (1 + reader.take<uint32_t>() % kMostFilePages) * kPageSize;
  model.extents = reader.some<uarena_page_extent>();
  std::string wrong;
  inspectfs::MemFile::Source source;
  source.extents = [&] { return Result<std::vector<uarena_page_extent>>(model.extents); };
  source.read = [&](uint64_t offset, uint32_t length) -> Result<std::vector<std::byte>> {
    if (length == 0 || length > UARENA_MAX_PAGE_READ || offset >= model.size ||
        length > model.size - offset)
      wrong = fmt::format("the broker is asked for {} bytes at {:#x}", length, offset);
    Bytes bytes(length);
    for (uint32_t n = 0; n < length; ++n) bytes[n] = model.at(offset + n);
    return bytes;
  };
  source.now = [] { return inspectfs::MemFile::Clock::time_point(std::chrono::hours(1)); };
  inspectfs::MemFile file(model.size, source);
  while (!reader.empty() && wrong.empty()) {
    const auto access = reader.take<Access>();
    if (access.what % 3 == 0) {
      const auto bytes = file.read(access.offset, access.length);
      const uint64_t there = access.offset < model.size ? model.size - access.offset : 0;
      if (!bytes || bytes->size() != std::min<uint64_t>(access.length, there))
        return "a read of another length";
      for (size_t n = 0; n < bytes->size(); ++n)
        if ((*bytes)[n] != model.at(access.offset + n)) return "a read of other bytes";
      continue;
    }
    const bool data = access.what % 3 == 1;
    const auto found = data ? file.seek_data(access.offset) : file.seek_hole(access.offset);
    const uint64_t wanted = model.next(access.offset, data);
    const bool none = access.offset >= model.size || (data && wanted == model.size);
    if (found.has_value() == none || (found && *found != wanted)) return "a seek to another place";
    if (!found && found.error().code != ENXIO) return "a seek that fails otherwise";
  }
  progress.accepted(0);
  return wrong;
}

// --- names and numbers of nodes ---

std::string node(Reader& reader, Progress& progress) {
  inspectfs::Node node;
  node.kind = static_cast<inspectfs::Kind>(reader.take<uint8_t>() % 10);
  node.epoch = reader.take<uint64_t>();
  node.arena = reader.take<uint64_t>();
  node.object = reader.take<uint64_t>();
  if (inspectfs::inode_number(node) == 0) return "a node of number 0";
  if (node.kind != inspectfs::Kind::root && inspectfs::inode_number(node) == 1)
    return "a node with the root's number";
  for (int depth = 0; node.kind != inspectfs::Kind::root; ++depth) {
    constexpr int kDeepest = 4;
    node = inspectfs::parent_of(node);
    if (depth == kDeepest || !inspectfs::is_directory(node.kind)) return "a node below no root";
  }
  const auto id = inspectfs::id_of_name(reader.rest());
  if (!id) return {};
  progress.accepted(0);
  return *id != 0 && std::to_string(*id) == reader.rest() ? "" : "an id with two names";
}

// --- text files ---

std::string texts(Reader& reader, Progress& progress) {
  const auto arena = reader.take<uarena_arena_info>();
  const auto extents = reader.some<uarena_page_extent>();
  progress.accepted(0);
  const std::string pages = inspectfs::pages_text(arena, extents);
  if (auto wrong = wrong_text(pages, "pages"); !wrong.empty()) return wrong;
  if (std::cmp_greater(std::ranges::count(pages, '\n'), extents.size())) return "a forged extent";
  const std::pair<const char*, std::string> files[] = {
      {"info", inspectfs::info_text(arena)},
      {"client", inspectfs::client_text(reader.take<uarena_client_info>())},
      {"program", inspectfs::program_text(reader.take<uarena_prog_info>())}};
  for (const auto& [what, text] : files) {
    if (auto wrong = wrong_text(text, what); !wrong.empty()) return wrong;
    for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
      if (text.substr(at, text.find('\n', at) - at).find(": ") == std::string::npos)
        return fmt::format("{}: a line without key and value", what);
  }
  return {};
}

// --- views of the command ---

std::string wrong_json(const boost::json::object& body, const char* what) {
  for (const auto style : {cli::Style::Json::compact, cli::Style::Json::pretty}) {
    cli::CapturedOutput captured({.json = style});
    captured.output.json(body);
    const std::string text = captured.out.text();
    boost::system::error_code error;
    const auto document = boost::json::parse(text, error);
    if (error) return fmt::format("{}: no JSON: {}", what, error.message());
    const auto* object = document.if_object();
    if (object == nullptr || object->size() != body.size() + 1 || !object->contains("version"))
      return fmt::format("{}: another document", what);
    if (style == cli::Style::Json::compact && std::ranges::count(text, '\n') != 1)
      return fmt::format("{}: more than one line", what);
  }
  return {};
}

std::string views(Reader& reader, Progress& progress) {
  const auto arenas = reader.some<uarena_arena_info>();
  const auto programs = reader.some<uarena_prog_info>();
  const auto clients = reader.some<uarena_client_info>();
  const auto arena = reader.take<uarena_arena_info>();
  const auto stats = reader.take<uarena_arena_stats_reply>();
  const auto program = reader.take<uarena_prog_info>();
  const auto client = reader.take<uarena_client_info>();
  const auto status = reader.take<uarena_status_reply>();
  const cli::ClientFaults faults{reader.take<uarena_fault_stats>(),
                                 reader.some<uarena_attachment_info>()};
  cli::LoadedObject loaded{programs, reader.some<uarena_map_info>(), reader.take<uint64_t>(), "a",
                           cli::printable(reader.rest())};
  cli::PageMapInput pages{"a", arena.user_vm_start, 1 + arena.max_entries % kMaxArenaPages,
                          reader.some<uarena_page_extent>()};
  cli::TraceView trace{"a", arena.id, arena.blocks, 0, false, reader.some<uarena_traced_fault>()};
  const cli::RunOutcome run{program.run_cnt, program.run_time_ns, 1, Bytes(9), Bytes(3)};
  progress.accepted(0);
  const std::pair<const char*, boost::json::object> documents[] = {
      {"arena", cli::arena_json(arena, stats)},
      {"arenas", cli::arenas_json(arenas)},
      {"pages", cli::pages_json(pages)},
      {"loaded", cli::loaded_json(loaded)},
      {"program", cli::program_json(program)},
      {"programs", cli::programs_json(programs)},
      {"run", cli::run_json(run)},
      {"listing", cli::listing_json(1, "xlated", cli::printable(reader.rest()))},
      {"client", cli::client_json(client, faults)},
      {"clients", cli::clients_json(clients)},
      {"status", cli::status_json(status)},
      {"trace", cli::trace_json(trace)}};
  for (const auto& [what, document] : documents)
    if (auto wrong = wrong_json(document, what); !wrong.empty()) return wrong;
  const cli::CapturedOutput plain;
  const cli::Output& output = plain.output;
  const std::pair<const char*, std::string> pictures[] = {
      {"arena", cli::arena_text(arena, stats, output)},
      {"arenas", cli::arenas_text(arenas, output)},
      {"pages", cli::pages_text(pages, output)},
      {"loaded", cli::loaded_text(loaded, output)},
      {"program", cli::program_text(program, arenas, output)},
      {"programs", cli::programs_text(programs, arenas, output)},
      {"run", cli::run_text(run, true, true, output)},
      {"client", cli::client_text(client, faults, output)},
      {"clients", cli::clients_text(clients, output)},
      {"status", cli::status_text(status, output)},
      {"trace", cli::trace_lines(trace)}};
  for (const auto& [what, text] : pictures)
    if (auto wrong = wrong_text(text, what); !wrong.empty()) return wrong;
  return {};
}

class FilesTarget final : public Target {
 public:
  std::vector<std::byte> make(Random& random) override { return make_files_input(random); }

  std::string run(std::span<const std::byte> input, Progress& progress) override {
    if (input.empty()) return {};
    Reader reader(input.subspan(1));
    switch (static_cast<FilesKind>(static_cast<unsigned>(input[0]) % kFilesKinds)) {
      case FilesKind::memory:
        return memory(reader, progress);
      case FilesKind::node:
        return node(reader, progress);
      case FilesKind::texts:
        return texts(reader, progress);
      case FilesKind::views:
        return views(reader, progress);
    }
    return {};
  }
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::FilesTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "files", target);
}
