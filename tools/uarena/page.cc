// uarena page …: which pages of an arena exist, who put them there, and what they hold.
#include <algorithm>

#include "tools/uarena/context.h"
#include "tools/uarena/hex_dump.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

// Without --range: enough to see the beginning, too little to flood a terminal.
constexpr uint64_t kDefaultDumpPages = 16;
// A JSON document is built in memory; a dump of more bytes than this needs the plain form.
constexpr uint64_t kMostJsonBytes = uint64_t{16} << 20;

struct ArenaPages {
  uarena_arena_info arena;
  PageMapInput map;
};

Result<ArenaPages> fetch(Context& context) {
  auto arena = context.arena_named(*context.call().argument(0));
  if (!arena) return std::unexpected(arena.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto extents = (*broker)->page_extents(arena->id);
  if (!extents) return std::unexpected(extents.error());
  return ArenaPages{*arena, PageMapInput{printable(wire_name(arena->name)), arena->user_vm_start,
                                         arena->max_entries, std::move(*extents)}};
}

// list and map are one thing to a script, and differ in how a person sees it.
template <std::string (*text_of)(const PageMapInput&, const Output&)>
Result<void> show(Context& context) {
  auto pages = fetch(context);
  if (!pages) return std::unexpected(pages.error());
  Output& output = context.output();
  if (output.json())
    output.json(pages_json(pages->map));
  else
    output.text(text_of(pages->map, output));
  return {};
}

// Feeds the bytes of [stretch) piece by piece, as many as one answer holds.
template <typename Sink>
Result<void> read_stretch(ipc::Inspector& broker, uint64_t arena_id, const Stretch& stretch,
                          Sink&& sink) {
  for (uint64_t done = 0; done < stretch.length;) {
    auto length = std::min<uint64_t>(stretch.length - done, UARENA_MAX_PAGE_READ);
    auto bytes = broker.page_read(arena_id, stretch.offset + done, static_cast<uint32_t>(length));
    if (!bytes) return std::unexpected(bytes.error());
    sink(stretch.offset + done, std::span<const std::byte>(*bytes));
    done += length;
  }
  return {};
}

struct DumpPlan {
  std::vector<Stretch> stretches;
  uint64_t pages_left_out = 0;  // allocated ones beyond the default's limit
};

Result<DumpPlan> plan_dump(const Invocation& call, const PageMapInput& pages) {
  DumpPlan plan;
  if (const std::string* range = call.value("--range"); range != nullptr) {
    auto wanted = parse_range("--range", *range, pages.max_entries * kPageSize);
    if (!wanted) return std::unexpected(wanted.error());
    plan.stretches = stretches(pages.extents, wanted->offset, wanted->length);
    return plan;
  }
  uint64_t room = kDefaultDumpPages * kPageSize;
  for (Stretch stretch : stretches(pages.extents, 0, pages.max_entries * kPageSize)) {
    if (!stretch.present) continue;
    uint64_t shown = std::min(stretch.length, room);
    plan.pages_left_out += (stretch.length - shown) / kPageSize;
    room -= shown;
    stretch.length = shown;
    if (shown > 0) plan.stretches.push_back(stretch);
  }
  return plan;
}

Result<void> dump_json(Context& context, ipc::Inspector& broker, const ArenaPages& pages,
                       const DumpPlan& plan) {
  uint64_t present = 0;
  for (const Stretch& stretch : plan.stretches) present += stretch.present ? stretch.length : 0;
  if (present > kMostJsonBytes)
    return fail(Why::usage, E2BIG, "{} in one JSON document: allowed are {}; use a smaller --range",
                with_unit(present), with_unit(kMostJsonBytes));
  boost::json::array pieces;
  for (const Stretch& stretch : plan.stretches) {
    boost::json::object piece{{"address", json_hex(pages.arena.user_vm_start + stretch.offset)},
                              {"offset", json_hex(stretch.offset)},
                              {"length", json_count(stretch.length)},
                              {"present", stretch.present}};
    std::string digits;
    if (stretch.present) {
      auto done = read_stretch(broker, pages.arena.id, stretch,
                               [&](uint64_t, auto bytes) { digits += hex_bytes(bytes); });
      if (!done) return done;
      piece["hex"] = digits;
    }
    pieces.push_back(std::move(piece));
  }
  context.output().json({{"arena", pages.map.name},
                         {"user_vm_start", json_hex(pages.arena.user_vm_start)},
                         {"pages_left_out", json_count(plan.pages_left_out)},
                         {"pieces", pieces}});
  return {};
}

Result<void> dump_text(Context& context, ipc::Inspector& broker, const ArenaPages& pages,
                       const DumpPlan& plan) {
  Output& output = context.output();
  HexDump lines;
  uint64_t base = pages.arena.user_vm_start, next = 0;
  for (const Stretch& stretch : plan.stretches) {
    // The default shows allocated pages only; a jump is a gap like any other.
    if (!context.call().has("--range") && stretch.offset > next)
      output.text(lines.absent(base + next, stretch.offset - next));
    next = stretch.offset + stretch.length;
    if (!stretch.present) {
      output.text(lines.absent(base + stretch.offset, stretch.length));
      continue;
    }
    auto done = read_stretch(broker, pages.arena.id, stretch, [&](uint64_t offset, auto bytes) {
      output.text(lines.bytes(base + offset, bytes));
    });
    if (!done) return done;
  }
  output.text(lines.finish());
  if (plan.stretches.empty()) output.text("no pages\n");
  if (plan.pages_left_out > 0)
    output.note(fmt::format("the first {} pages; {} more: use --range OFF:LEN\n", kDefaultDumpPages,
                            grouped(plan.pages_left_out)));
  return {};
}

Result<void> dump(Context& context) {
  auto pages = fetch(context);
  if (!pages) return std::unexpected(pages.error());
  auto plan = plan_dump(context.call(), pages->map);
  if (!plan) return std::unexpected(plan.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  return context.output().json() ? dump_json(context, **broker, *pages, *plan)
                                 : dump_text(context, **broker, *pages, *plan);
}

}  // namespace

Object page_object() {
  const Argument arena{"NAME", "the arena", false, {}};
  return {
      .name = "page",
      .summary = "the pages of an arena",
      .commands =
          {{.names = {"list", "show"},
            .arguments = {arena},
            .flags = {},
            .summary = "list the pages that are taken, by runs of one origin",
            .details = "Origins: program (bpf_arena_alloc_pages), fault (a client touched it), "
                       "client (uarena_alloc), reserved (taken, but no page).",
            .example = "uarena -j page list heap",
            .run = show<pages_text>},
           {.names = {"map"},
            .arguments = {arena},
            .flags = {},
            .summary = "draw which pages exist and who put them there",
            .details = "Only rows that hold something are drawn; the scale follows what is there "
                       "and the width of the terminal (COLUMNS). With -j the same as page list.",
            .example = "uarena page map heap",
            .run = show<draw_page_map>},
           {.names = {"dump"},
            .arguments = {arena},
            .flags =
                {{"--range", "OFF:LEN",
                  "bytes from user_vm_start on, decimal or 0x...; otherwise the first 16 pages "
                  "that exist"}},
            .summary = "print the bytes of pages in hex",
            .details = "Repeated lines are folded into *. Absent pages are named and stay absent.",
            .example = "uarena page dump heap --range 0x1000:64",
            .run = dump}},
      .default_command = ""};
}

}  // namespace uarena::cli
