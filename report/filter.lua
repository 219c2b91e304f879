-- Pandoc filter of the report: numbers, cross-references, figures and tables, for HTML and for typst alike.
--
-- It owns every number (sections, figures, tables, equations), so both outputs have the same ones, and it runs before
-- citeproc, which would take @fig:manifold for a citation. What it finds wrong it logs; vaelib/report/publish.py turns
-- each log line into a failed build. Blocks of class vaelib-exhibit hold the JSON that vaelib/report/exhibits.py wrote.

local html = FORMAT:match("html") ~= nil
local reader, writer = PANDOC_READER_OPTIONS, PANDOC_WRITER_OPTIONS
local kinds = { sec = "Section", fig = "Figure", tbl = "Table", eq = "Equation" }
local counts = { fig = 0, tbl = 0, eq = 0 }
local text_width = 6.3 -- inches, of the PDF's page: wider figures are scaled to it
local labels = {} -- "fig:manifold" -> its number, as a string
local rows_of_runs = {} -- "vae/mlp-seed0" -> the id of its row
local appendix = false -- whether the first appendix has begun: figures and tables stand there in order, they do not float
local unprinted = false -- whether a table that the PDF has not came by

local function problem(message)
  pandoc.log.warn(message)
end

local function typst(code)
  return pandoc.RawInline("typst", code)
end

-- A string literal of typst.
local function quote(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("%s+", " ") .. '"'
end

-- One line of markdown as inlines. The x keeps "1. a" or "- a" from being read as a list.
local function inlines(markdown)
  local content = pandoc.utils.blocks_to_inlines(pandoc.read("x " .. markdown, "markdown", reader).blocks)
  content:remove(1)
  content:remove(1)
  return content
end

local function define(label, number)
  if labels[label] then
    problem("the label " .. label .. " is defined twice")
  end
  labels[label] = number
end

-- "Figure 3. " and the caption.
local function caption(kind, label, content)
  counts[kind] = counts[kind] + 1
  define(label, tostring(counts[kind]))
  local name = kinds[kind] .. "\u{a0}" .. counts[kind] .. "."
  return pandoc.Inlines { pandoc.Strong { pandoc.Str(name) }, pandoc.Space() } .. content
end

-- A line of small print under an exhibit: the runs behind it, or a note.
local function small_print(class, content)
  if html then
    return pandoc.Inlines { pandoc.Span(content, { class = class }) }
  end
  return pandoc.Inlines { typst("#small-print[") } .. content .. { typst("]") }
end

local function figure(record)
  local content = caption("fig", record.label, inlines(record.caption))
  if record.source then
    content:extend(small_print("source", pandoc.Inlines("Run: " .. record.source)))
  end
  if not html then
    local width = record.width or (record.inches < text_width and record.inches .. "in") or "100%"
    local call = string.format("#report-figure(%s, %s, %s, %s, [", quote(record.file), quote(record.alt), width, not appendix)
    content:insert(1, typst(call))
    content:insert(typst("]) <" .. record.label .. ">"))
    return pandoc.Plain(content)
  end
  local body
  if record.interactive then
    local attributes = { class = "interactive", role = "group", ["aria-label"] = record.alt }
    body = pandoc.Div(pandoc.RawBlock("html", record.html), attributes)
  else
    local style = record.width and { style = "width: " .. record.width }
      or { width = math.floor(record.inches * 96), height = math.floor(record.inches * record.aspect * 96) }
    body = pandoc.Plain { pandoc.Image({ pandoc.Str(record.alt) }, record.file, "", style) }
  end
  return pandoc.Figure(body, { long = { pandoc.Plain(content) } }, { id = record.label })
end

-- A pandoc table from rows of markdown; `groups` has a section name for each row, and a section is a table body.
local function records_table(record)
  local alignments = { l = pandoc.AlignLeft, c = pandoc.AlignCenter, r = pandoc.AlignRight }
  local specs, head, bodies = {}, {}, {}
  for i, name in ipairs(record.columns) do
    specs[i] = { alignments[record.align:sub(i, i)] }
    head[i] = pandoc.Cell { pandoc.Plain(inlines(name)) }
  end
  for r, row in ipairs(record.rows) do
    local group = record.groups and record.groups[r]
    if r == 1 or (record.groups and group ~= record.groups[r - 1]) then
      bodies[#bodies + 1] = { attr = pandoc.Attr(), head = {}, body = {}, row_head_columns = 1 }
      if group then
        local title = { pandoc.Plain { pandoc.Strong(inlines(group)) } }
        local attr = pandoc.Attr("", { "group" }, { scope = "rowgroup" })
        bodies[#bodies].head = { pandoc.Row { pandoc.Cell(title, pandoc.AlignLeft, 1, #specs, attr) } }
      end
    end
    local cells = {}
    for i, text in ipairs(row) do
      cells[i] = pandoc.Cell { pandoc.Plain(inlines(text)) }
    end
    local run = record.runs and record.runs[r]
    if run then
      rows_of_runs[run] = "run:" .. run
      define("run:" .. run, run)
    end
    table.insert(bodies[#bodies].body, pandoc.Row(cells, run and pandoc.Attr("run:" .. run) or pandoc.Attr()))
  end
  return pandoc.Table({ long = {} }, specs, pandoc.TableHead { pandoc.Row(head) }, bodies, pandoc.TableFoot())
end

local function length(text) return utf8.len(text) or #text end

-- The characters of each column's longest cell, of its head the longest word or, with `whole`, all of it.
-- Cells of more than 24 characters may break into lines.
local function widest_cells(tbl, whole)
  local widest = {}
  local function measure(cells, words)
    local column = 1
    for _, cell in ipairs(cells) do
      local text = pandoc.utils.stringify(cell.contents)
      if cell.col_span == 1 then
        for part in (words and text or text:gsub("%s", "_")):gmatch("%S+") do
          widest[column] = math.max(widest[column] or 1, math.min(24, length(part)))
        end
      end
      column = column + cell.col_span
    end
  end
  for _, row in ipairs(tbl.head.rows) do measure(row.cells, not whole) end
  for _, part in ipairs(tbl.bodies) do
    for _, row in ipairs(part.body) do measure(row.cells, false) end
  end
  return widest
end

-- The type size at which such cells stand side by side in the PDF, where `gap` points are left free beside each.
local function fitting_size(widest, gap)
  local characters = 0
  for _, width in ipairs(widest) do characters = characters + width end
  return (text_width * 72 - 2 * gap * #widest) / (0.5 * characters)
end

-- Break the heads of columns into lines no longer than their columns' cells: Typst would narrow the first column instead.
local function break_heads(tbl, widest)
  for _, row in ipairs(tbl.head.rows) do
    for i, cell in ipairs(row.cells) do
      local content, line = cell.contents[1].content, 0
      local function wide(k) return length(pandoc.utils.stringify(content[k])) end
      for k, inline in ipairs(content) do
        line = line + wide(k)
        if inline.t == "Space" and line + wide(k + 1) > widest[i] then
          content[k], line = pandoc.LineBreak(), 0
        end
      end
    end
  end
end

-- Give a table its number, caption, header scopes, and the small print under it.
local function numbered_table(tbl, label, content, source, note)
  content = caption("tbl", label, content)
  local below = pandoc.Inlines {}
  if note then below:extend(small_print("note", inlines(note))) end
  if source then below:extend(small_print("source", pandoc.Inlines("Run: " .. source))) end
  if not html then
    local rows = 0
    for _, part in ipairs(tbl.bodies) do rows = rows + #part.body end
    local gap, smallest, largest = #tbl.colspecs > 8 and 2.5 or 4, 7, 9.5 -- points
    local widest = widest_cells(tbl, true)
    if fitting_size(widest, gap) < largest then
      widest = widest_cells(tbl, false)
      break_heads(tbl, widest)
    end
    local size = math.max(smallest, math.min(largest, fitting_size(widest, gap)))
    local call = string.format("#report-table(%.1fpt, %.1fpt, %s, %s, [", size, gap, rows > 25, not appendix)
    local open = pandoc.Inlines { typst(call) } .. content .. { typst("], [") } .. below .. { typst("])[") }
    tbl.caption = { long = {} }
    tbl.attr = pandoc.Attr("", { "typst:no-figure" })
    return pandoc.Blocks { pandoc.Plain(open), tbl, pandoc.RawBlock("typst", "] <" .. label .. ">") }
  end
  for _, row in ipairs(tbl.head.rows) do
    for _, cell in ipairs(row.cells) do cell.attributes.scope = "col" end
  end
  for _, part in ipairs(tbl.bodies) do
    part.row_head_columns = 1
    for _, row in ipairs(part.body) do
      row.cells[1].attributes.scope = row.cells[1].attributes.scope or "row"
    end
  end
  tbl.attr = pandoc.Attr()
  tbl.caption = { long = { pandoc.Plain { pandoc.Span(content, { class = "caption-text" }) } } }
  local class = #tbl.colspecs > 6 and "scroll wide" or "scroll"
  local blocks = pandoc.Blocks { pandoc.Div(tbl, { class = class }) }
  if #below > 0 then blocks:insert(pandoc.Plain(below)) end
  return pandoc.Div(blocks, { id = label, class = "table" })
end

-- First pass: exhibits, captioned tables, code and headings, in the order of the document.
local section, headings = { 0, 0, 0, 0, 0 }, {}
local exhibits = { traverse = "topdown" }

function exhibits.Block(el)
  if el.tag == "CodeBlock" and el.classes:includes("vaelib-exhibit") then
    local record = pandoc.json.decode(el.text, false)
    for key, value in pairs(record) do
      if value == pandoc.json.null then record[key] = nil end
    end
    if record.columns then
      if unprinted then problem(record.label .. " stands behind a table that is not printed: their numbers would differ") end
      unprinted = record.printed == false
      if unprinted and not html then return {}, false end
      local content = inlines(record.caption)
      return numbered_table(records_table(record), record.label, content, record.source, record.note), false
    end
    return figure(record), false
  elseif el.tag == "Table" and el.identifier ~= "" then
    return numbered_table(el, el.identifier, pandoc.utils.blocks_to_inlines(el.caption.long)), false
  elseif el.tag == "Div" and el.classes:includes("code-cell") then
    if not html then return {}, false end
    return pandoc.Blocks {
      pandoc.RawBlock("html", '<details class="code"><summary>Code</summary>'),
      el.content[1],
      pandoc.RawBlock("html", "</details>"),
    }, false
  elseif el.tag == "Div" and (el.classes:includes("title-cell") or el.classes:includes("abstract-cell")) then
    return el, false -- their headings have no number
  elseif el.tag == "Header" then
    headings[el.identifier] = true
    appendix = appendix or el.classes:includes("appendix")
    if el.level == 1 then
      problem('"' .. pandoc.utils.stringify(el) .. '": # is for the title (in a cell tagged title); sections begin at ##')
    end
    if not el.classes:includes("unnumbered") then
      local depth = math.max(1, el.level - 1)
      section[depth] = section[depth] + 1
      for i = depth + 1, #section do section[i] = 0 end
      local number = table.concat(section, ".", 1, depth)
      if el.identifier:match("^sec:") then define(el.identifier, number) end
      local mark = pandoc.Span({ pandoc.Str(number) }, { class = "section-number" })
      el.content = pandoc.Inlines { mark, pandoc.Str("\u{2002}") } .. el.content
    end
    if not html then el.level = math.max(1, el.level - 1) end
    return el, false
  elseif el.tag == "RawBlock" and el.format:match("tex") then
    problem("bare LaTeX is lost: write it between dollar signs: " .. el.text:sub(1, 60))
  end
end

-- Second pass: $$...$$ {#eq:elbo}. The mark is attached to its formula, whose number is set when it is written.
local numbered_equations = {
  traverse = "topdown",
  Inlines = function(content)
    local result = pandoc.Inlines {}
    for _, el in ipairs(content) do
      local label = el.tag == "Str" and el.text:match("^{#(eq:[%w_-]+)}$")
      local before = result[#result]
      if before and before.tag == "Space" then before = result[#result - 1] end
      if label and before and before.tag == "Math" and before.mathtype == "DisplayMath" then
        if result[#result].tag == "Space" then result:remove(#result) end
        counts.eq = counts.eq + 1
        define(label, tostring(counts.eq))
        result[#result] = pandoc.Span({ before }, { id = label, class = "equation", number = counts.eq })
      else
        if el.tag == "Str" and el.text:match("{#%a+:") then
          problem("the label " .. el.text .. " does not follow a display equation")
        end
        result:insert(el)
      end
    end
    return result
  end,
}

-- What pandoc 3.9 writes in typst's formulas and typst 0.15 calls otherwise, or sets otherwise than TeX.
local renamed = {
  { "%f[%w]dot%.circle%f[%W]", "dot.o" },
  { "%f[%w]times%.circle%f[%W]", "times.o" },
  { "%f[%w]plus%.circle%f[%W]", "plus.o" },
  { "%f[%w]minus%.circle%f[%W]", "minus.o" },
  { "%f[%w.]sect%f[%W]", "inter" },
  { "#h%(%-1em%)", "#h(-0.1667em)" },
  { '("arg[^"]*m[ai][xn]")_', "op(%1, limits: #true)_" },
}

-- A formula as typst, its TeX source as the alternative text that a screen reader speaks.
local function typst_math(el, label, number)
  local code = pandoc.write(pandoc.Pandoc { pandoc.Plain { el } }, "typst", { wrap_text = "none" })
  for _, rename in ipairs(renamed) do code = code:gsub(rename[1], rename[2]) end
  local set = "alt: " .. quote(el.text:gsub("^%s+", ""):gsub("%s+$", ""))
  if label then set = set .. ", numbering: _ => [(" .. number .. ")]" end
  local mark = label and " <" .. label .. ">" or ""
  return typst("#[#set math.equation(" .. set .. ");" .. code:gsub("%s+$", "") .. mark .. "]")
end

-- What TeX does and pandoc's MathML does not: a thin space between a function and its argument ("log p"), and upright
-- bold letters for \mathbf.
local function browser_tex(tex)
  for _, name in ipairs { "log", "exp", "max", "min", "det", "tanh", "cos", "sin" } do
    tex = tex:gsub("(\\" .. name .. ")%s+(%w)", "%1\\,%2")
    tex = tex:gsub("(\\" .. name .. ")%s*(\\%a+)", function(f, command)
      local opens = command:match("^\\left$") or command:match("^\\[bB]igg?l?$") or command == "\\limits"
      return opens and f .. command or f .. "\\," .. command
    end)
  end
  local function bold(letter)
    local first = letter:match("%u") and 0x1D400 - 65 or 0x1D41A - 97
    return "{" .. utf8.char(first + letter:byte()) .. "}"
  end
  return (tex:gsub("\\mathbf%s*{(%a)}", bold):gsub("\\mathbf%s+(%a)", bold))
end

local formulas = {
  traverse = "topdown",
  Inlines = function(content) -- a value and its interval stay on one line
    for i, el in ipairs(content) do
      local function is_sign(other) return other and other.tag == "Str" and other.text == "±" end
      if (el.tag == "Space" or el.tag == "SoftBreak") and (is_sign(content[i - 1]) or is_sign(content[i + 1])) then
        content[i] = pandoc.Str("\u{a0}")
      end
    end
    return content
  end,
  Span = function(el)
    if not el.classes:includes("equation") then return nil end
    local number = el.attributes.number
    if not html then return typst_math(el.content[1], el.identifier, number), false end
    el.content[1].text = browser_tex(el.content[1].text)
    el.attributes.number = nil
    el.content:insert(pandoc.Span({ pandoc.Str("(" .. number .. ")") }, { class = "equation-number" }))
    return el, false
  end,
  Math = function(el)
    if not html then return typst_math(el) end
    el.text = browser_tex(el.text)
    return el
  end,
  Str = function(el) -- a minus sign, not a hyphen, before numbers
    return pandoc.Str((el.text:gsub("^([(~≈±]?)%-(%d)", "%1\u{2212}%2")))
  end,
}

-- Last: references, now that every label is known, and what must not be left in the text.
local function kind_of(citation)
  return kinds[citation.id:match("^(%a+):")]
end

local function reference(citation)
  local number = labels[citation.id]
  if not number then
    problem("unresolved reference @" .. citation.id)
    number = "?"
  end
  local text = pandoc.Str(kind_of(citation) .. "\u{a0}" .. number)
  local result = pandoc.Inlines(citation.prefix)
  if #result > 0 then result:insert(pandoc.Space()) end
  result:insert(number == "?" and text or pandoc.Link({ text }, "#" .. citation.id, "", { class = "ref" }))
  return result .. citation.suffix
end

local references = {
  Cite = function(el)
    local result, crossed = pandoc.Inlines {}, 0
    for i, citation in ipairs(el.citations) do
      if kind_of(citation) then
        crossed = crossed + 1
        if i > 1 then result:insert(pandoc.Str(i == #el.citations and " and " or ", ")) end
        result:extend(reference(citation))
      end
    end
    if crossed == 0 then return nil end
    if crossed < #el.citations then
      problem("cross-references and citations in one bracket: " .. pandoc.utils.stringify(el))
    end
    return result
  end,
  Span = function(el) -- the runs under an exhibit lead to their rows, where a table has them
    if not el.classes:includes("source") then return nil end
    return el:walk {
      Str = function(word)
        local run, rest = word.text:match("^([%w_.-]+/[%w_.-]+)([,;]?)$")
        if not rows_of_runs[run] then return nil end
        return { pandoc.Link({ pandoc.Str(run) }, "#" .. rows_of_runs[run]), pandoc.Str(rest) }
      end,
    }
  end,
  Link = function(el)
    local target = el.target:match("^#(.+)$")
    if target and not labels[target] and not headings[target] then
      problem("a link leads to #" .. target .. ", which is nowhere in the report")
    end
  end,
  Image = function(el)
    local generated = el.src:match("^%d+%.png$") or el.src:match("^%d+%.svg$")
    if not generated then
      problem("the image " .. el.src .. " stands in a markdown cell: show it with exhibits.figure")
    elseif #el.caption == 0 then
      problem("the image " .. el.src .. " has no alternative text")
    end
  end,
  RawInline = function(el)
    if el.format:match("tex") then
      problem("bare LaTeX is lost: write it between dollar signs: " .. el.text:sub(1, 60))
    end
  end,
}

-- Move the title and abstract cells into the metadata, where the templates expect them.
local function front_matter(doc)
  local rest = pandoc.Blocks {}
  for _, block in ipairs(doc.blocks) do
    if block.tag == "Div" and block.classes:includes("title-cell") then
      for _, part in ipairs(block.content) do
        if part.tag == "Header" then
          doc.meta.title = pandoc.MetaInlines(part.content)
        elseif part.content then
          doc.meta.subtitle = pandoc.MetaInlines(part.content)
        end
      end
    elseif block.tag == "Div" and block.classes:includes("abstract-cell") then
      local content = block.content
      if content[1] and content[1].tag == "Header" then content:remove(1) end
      doc.meta.abstract = pandoc.MetaBlocks(content)
    else
      rest:insert(block)
    end
  end
  if not doc.meta.title then
    problem("the report has no title: tag a cell that begins with # as title")
  end
  if doc.meta.author then -- as a string literal, for the properties of the PDF
    doc.meta["author-string"] = pandoc.MetaInlines { typst(quote(pandoc.utils.stringify(doc.meta.author))) }
  end
  doc.blocks = rest
  return doc
end

function Pandoc(doc)
  for _, pass in ipairs { exhibits, numbered_equations, formulas, references } do
    doc = doc:walk(pass)
  end
  doc = front_matter(doc)
  local cited = #pandoc.utils.references(doc) > 0
  doc:walk { Cite = function() cited = true end }
  if cited then -- the references stand at the end, or before the first appendix
    local _, place = doc.blocks:find_if(function(el) return el.tag == "Header" and el.classes:includes("appendix") end)
    place = place or #doc.blocks + 1
    doc.blocks:insert(place, pandoc.Div({}, { id = "refs" }))
    doc.blocks:insert(place, pandoc.Header(html and 2 or 1, "References", { id = "references", class = "unnumbered" }))
  end
  return doc
end
