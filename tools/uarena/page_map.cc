// Drawing: fit the scale, fold the extents into cells, write rows and gaps. Extents are clipped to
// the arena, so that whatever the broker says can't draw outside the picture.
#include "tools/uarena/page_map.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "ipc/base/page.h"
#include "ipc/client/names.h"
#include "tools/uarena/text.h"

namespace uarena::cli {
namespace {

struct Scale {
  uint32_t cells = 1;           // per row, a power of two
  uint32_t pages_per_cell = 1;  // a power of two
  uint64_t pages_per_row() const { return uint64_t{cells} * pages_per_cell; }
};

// Pages of a cell by origin; index 0 counts those of unknown origin.
using Cell = std::array<uint32_t, UARENA_ORIGIN_RESERVED + 1>;
// Rows that hold something, by their number.
using Rows = std::map<uint64_t, std::vector<Cell>>;

uint32_t known_origin(uint32_t origin) { return origin <= UARENA_ORIGIN_RESERVED ? origin : 0; }

// What of the extent lies inside the arena.
PageRange clipped(const uarena_page_extent& extent, uint32_t max_entries) {
  uint32_t first = std::min(extent.page, max_entries);
  return {first, std::min(extent.count, max_entries - first)};
}

size_t rows_touched(const PageMapInput& input, uint64_t pages_per_row) {
  size_t rows = 0;
  uint64_t next = 0;  // rows below are counted
  for (const auto& extent : input.extents) {
    PageRange range = clipped(extent, input.max_entries);
    if (range.count == 0) continue;
    uint64_t first = std::max<uint64_t>(next, range.first / pages_per_row);
    uint64_t last = (range.end() - 1) / pages_per_row;
    if (last + 1 > first) rows += last + 1 - first;
    next = std::max(next, last + 1);
  }
  return rows;
}

Scale fit_scale(const PageMapInput& input, unsigned width, size_t label) {
  Scale scale;
  uint32_t pages = std::max<uint32_t>(input.max_entries, 1);
  uint32_t room = width > label + 8 ? static_cast<uint32_t>(width - label) : 8;
  scale.cells = std::min(std::bit_floor(room), std::bit_ceil(pages));
  while (rows_touched(input, scale.pages_per_row()) > kMostRows) scale.pages_per_cell *= 2;
  return scale;
}

Rows fold_into_cells(const PageMapInput& input, const Scale& scale) {
  Rows rows;
  for (const auto& extent : input.extents) {
    PageRange range = clipped(extent, input.max_entries);
    for (uint64_t page = range.first; page < range.end();) {
      uint64_t cell = page / scale.pages_per_cell;
      uint64_t end = std::min<uint64_t>((cell + 1) * scale.pages_per_cell, range.end());
      auto& row = rows.try_emplace(cell / scale.cells, scale.cells).first->second;
      row[cell % scale.cells][known_origin(extent.origin)] += static_cast<uint32_t>(end - page);
      page = end;
    }
  }
  return rows;
}

struct Glyph {
  std::string text;
  Colour colour = Colour::none;
};

Glyph glyph_of(const Cell& cell, uint32_t pages, const Style& style) {
  uint32_t taken = 0;
  for (uint32_t count : cell) taken += count;
  if (taken == 0) return {style.utf8 ? "·" : ".", Colour::none};
  auto origin = static_cast<uint32_t>(std::ranges::max_element(cell) - cell.begin());
  if (!style.colour) {
    static constexpr std::string_view kFull = "?PFCR", kPart = "?pfcr";
    return {std::string(1, taken < pages ? kPart[origin] : kFull[origin]), Colour::none};
  }
  static constexpr std::array kShades = {"░", "▒", "▓", "█"};
  static constexpr std::array kAscii = {"-", "+", "*", "#"};
  size_t level = taken >= pages ? 3 : size_t{taken} * 3 / pages;
  return {(style.utf8 ? kShades : kAscii)[level], origin_colour(origin)};
}

// Cells of one colour side by side are painted at once.
class Strip {
 public:
  explicit Strip(const Output& output) : output_(output) {}
  void add(const Glyph& glyph) {
    if (glyph.colour != colour_) flush();
    colour_ = glyph.colour;
    pending_ += glyph.text;
  }
  std::string take() {
    flush();
    return std::move(out_);
  }

 private:
  void flush() { out_ += output_.paint(colour_, std::exchange(pending_, "")); }

  const Output& output_;
  Colour colour_ = Colour::none;
  std::string pending_, out_;
};

class Drawing {
 public:
  Drawing(const PageMapInput& input, const Output& output)
      : input_(input),
        output_(output),
        label_(hex(input.user_vm_start + input.max_entries * kPageSize).size()),
        scale_(fit_scale(input, output.style().width, label_ + 1)) {}

  std::string draw() {
    head();
    uint64_t next = 0;  // the first row that is not drawn or skipped yet
    for (const auto& [number, cells] : fold_into_cells(input_, scale_)) {
      gap(next, number);
      row(number, cells);
      next = number + 1;
    }
    uint64_t per_row = scale_.pages_per_row();
    gap(next, (input_.max_entries + per_row - 1) / per_row);
    legend();
    summary();
    return std::move(out_);
  }

 private:
  void head() {
    out_ += fmt::format("{}  {}  {} ({}), a cell is {}\n", output_.paint(Colour::bold, input_.name),
                        hex(input_.user_vm_start), counted(input_.max_entries, "page"),
                        with_unit(input_.max_entries * kPageSize),
                        counted(scale_.pages_per_cell, "page"));
  }

  void row(uint64_t number, const std::vector<Cell>& cells) {
    uint64_t first = number * scale_.pages_per_row();
    Strip strip(output_);
    for (uint32_t i = 0; i < scale_.cells; i++) {
      uint64_t page = first + uint64_t{i} * scale_.pages_per_cell;
      if (page >= input_.max_entries) break;
      auto pages = std::min<uint64_t>(scale_.pages_per_cell, input_.max_entries - page);
      strip.add(glyph_of(cells[i], static_cast<uint32_t>(pages), output_.style()));
    }
    out_ += fmt::format("{:>{}} {}\n", hex(input_.user_vm_start + first * kPageSize), label_,
                        strip.take());
  }

  // Rows [first, end), all free.
  void gap(uint64_t first, uint64_t end) {
    if (first >= end) return;
    uint64_t per_row = scale_.pages_per_row();
    uint64_t pages = std::min<uint64_t>(end * per_row, input_.max_entries) - first * per_row;
    std::string_view dots = output_.style().utf8 ? "…" : "...";
    std::string line = fmt::format("{} {} free {}", dots, counted(pages, "page"), dots);
    out_ += std::string(label_ + 1, ' ') + output_.paint(Colour::dim, line) + '\n';
  }

  void legend() {
    out_ += output_.style().colour ? "colours:" : "letters:";
    for (uint32_t origin = UARENA_ORIGIN_PROGRAM; origin <= UARENA_ORIGIN_RESERVED; origin++) {
      Cell cell{};
      cell[origin] = 1;
      Glyph glyph = glyph_of(cell, 1, output_.style());
      out_ +=
          fmt::format(" {} {}", output_.paint(glyph.colour, glyph.text), ipc::origin_name(origin));
    }
    out_ += fmt::format(", {} free", glyph_of(Cell{}, 1, output_.style()).text);
    if (scale_.pages_per_cell > 1)
      out_ += output_.style().colour ? "; the fuller, the denser" : "; lower case: partly taken";
    out_ += '\n';
  }

  void summary() {
    PageCounts counts = count_pages(input_);
    uint32_t reserved = counts.by_origin[UARENA_ORIGIN_RESERVED];
    out_ += fmt::format("{} in {}:", counted(counts.taken() - reserved, "page"),
                        counted(input_.extents.size(), "extent"));
    for (uint32_t origin = UARENA_ORIGIN_PROGRAM; origin < UARENA_ORIGIN_RESERVED; origin++)
      out_ += fmt::format(" {} {},", ipc::origin_name(origin), grouped(counts.by_origin[origin]));
    out_ += fmt::format(" and {} reserved, {} free\n", grouped(reserved),
                        grouped(input_.max_entries - std::min(counts.taken(), input_.max_entries)));
  }

  const PageMapInput& input_;
  const Output& output_;
  size_t label_;
  Scale scale_;
  std::string out_;
};

}  // namespace

uint32_t PageCounts::taken() const {
  uint32_t sum = 0;
  for (uint32_t count : by_origin) sum += count;
  return sum;
}

Colour origin_colour(uint32_t origin) {
  switch (origin) {
    case UARENA_ORIGIN_PROGRAM:
      return Colour::green;
    case UARENA_ORIGIN_FAULT:
      return Colour::cyan;
    case UARENA_ORIGIN_CLIENT:
      return Colour::magenta;
    case UARENA_ORIGIN_RESERVED:
      return Colour::yellow;
    default:
      return Colour::red;
  }
}

PageCounts count_pages(const PageMapInput& input) {
  PageCounts counts;
  for (const auto& extent : input.extents)
    counts.by_origin[known_origin(extent.origin)] += clipped(extent, input.max_entries).count;
  return counts;
}

std::string draw_page_map(const PageMapInput& input, const Output& output) {
  return Drawing(input, output).draw();
}

}  // namespace uarena::cli
