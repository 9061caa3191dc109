# `Rscript kernel.R CELLS_FD FRAMES_FD`: run cells in the global environment of one R.
# Cells: a 4-byte big-endian length, then a JSON object {"code", "env"}. Frames: one ASCII JSON
# object a line: started, result*, error at most once, end. Base R only. Our names are out of the
# way of the cells', and the search from here begins at the base package: what a cell calls `c` or
# `print` does not stop the next one.
local({

MAX_TEXT <- 5e6
MAX_CALLS <- 50L
HTML_ROWS <- 60L
PLOT_PIXELS <- 840L
PLOT_DPI <- 120L

arguments <- commandArgs(trailingOnly = TRUE)
# R opens no descriptor by its number, and a sandbox's pipes not by their path in /proc.
# The interrupts of cells are not for these programs; a plain sh knows descriptors to 9 only.
relay <- function(redirected, mode) {
  pipe(sprintf("exec bash -c \"trap '' INT; exec cat %s\"", redirected), mode)
}
cells <- relay(paste0("<&", arguments[1]), "rb")
frames <- relay(paste0(">&", arguments[2]), "wb")
plots <- tempfile("plots-")
device <- NULL # the one that a plot of this cell has opened

# -- JSON

decode <- function(token) {
  text <- substr(token, 2L, nchar(token) - 1L)
  if (!grepl("\\", text, fixed = TRUE)) return(text)
  pattern <- "\\\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)"
  found <- gregexpr(pattern, text, perl = TRUE)
  escapes <- regmatches(text, found)[[1]]
  plain <- regmatches(text, found, invert = TRUE)[[1]]
  distinct <- unique(escapes)
  letters <- vapply(distinct, unescape, "")[match(escapes, distinct)]
  paste(c(rbind(plain, c(letters, ""))), collapse = "")
}

unescape <- function(escape) {
  kind <- substr(escape, 2L, 2L)
  if (kind != "u") {
    at <- match(kind, c("b", "f", "n", "r", "t"))
    return(if (is.na(at)) kind else c("\b", "\f", "\n", "\r", "\t")[at])
  }
  code <- strtoi(substr(escape, 3L, 6L), 16L)
  if (nchar(escape) > 6L) { # two halves of one character
    code <- 0x10000 + (code - 0xD800) * 0x400 + strtoi(substr(escape, 9L, 12L), 16L) - 0xDC00
  }
  if (code == 0 || code >= 0xD800 && code < 0xE000) "\uFFFD" else intToUtf8(code)
}

# Strings of {"code": ..., "env": {...} or null, ...}, in order; what follows the object's end
# is for other kernels.
parse_cell <- function(body) {
  found <- gregexpr('"[^"\\\\]*+(?:\\\\.[^"\\\\]*+)*+"', body, perl = TRUE)
  tokens <- regmatches(body, found)[[1]]
  between <- regmatches(body, found, invert = TRUE)[[1]]
  env <- character()
  if (length(tokens) > 3L && grepl("{", between[4], fixed = TRUE)) {
    closed <- grep("}", between, fixed = TRUE)[1]
    if (closed > 5L) {
      members <- vapply(tokens[4:(closed - 1L)], decode, "", USE.NAMES = FALSE)
      names <- c(TRUE, FALSE)
      env <- members[!names]
      names(env) <- members[names]
    }
  }
  list(code = decode(tokens[2]), env = env[grepl("^[^=]+$", names(env))])
}

quoted <- function(text) {
  text <- iconv(enc2utf8(text), "UTF-8", "UTF-8", sub = "\uFFFD")
  text <- gsub('(["\\\\])', "\\\\\\1", text)
  if (grepl("[^ -~]", text, useBytes = TRUE)) {
    codes <- utf8ToInt(text)
    distinct <- unique(codes)
    text <- paste(vapply(distinct, escape, "")[match(codes, distinct)], collapse = "")
  }
  paste0('"', text, '"')
}

escape <- function(code) {
  if (code >= 32L && code < 127L) return(intToUtf8(code))
  if (code < 0x10000) return(sprintf("\\u%04x", code))
  code <- code - 0x10000
  sprintf("\\u%04x\\u%04x", 0xD800 + code %/% 0x400, 0xDC00 + code %% 0x400)
}

send <- function(...) {
  fields <- c(...)
  line <- paste0("{", paste0('"', names(fields), '":', fields, collapse = ","), "}\n")
  writeBin(charToRaw(line), frames)
  flush(frames)
}

base64 <- function(bytes) {
  letters <- c(LETTERS, base::letters, 0:9, "+", "/")
  missing <- (3L - length(bytes) %% 3L) %% 3L
  triples <- matrix(c(as.integer(bytes), integer(missing)), 3L)
  whole <- triples[1, ] * 65536L + triples[2, ] * 256L + triples[3, ]
  four <- rbind(whole %/% 262144L, whole %/% 4096L %% 64L, whole %/% 64L %% 64L, whole %% 64L)
  text <- letters[four + 1L]
  if (missing) text[length(text) - seq_len(missing) + 1L] <- "="
  paste(text, collapse = "")
}

# -- What a cell shows

show_value <- function(value, main) {
  text <- paste(utils::capture.output(print(value)), collapse = "\n")
  if (!nzchar(text)) return(invisible()) # a plot, say, that was drawn by this
  if (nchar(text) > MAX_TEXT) text <- paste(substr(text, 1L, MAX_TEXT), "...")
  fields <- c(text = quoted(text))
  if (is.data.frame(value)) {
    fields["html"] <- tryCatch(quoted(table_html(value)), error = function(condition) '""')
  }
  send(type = '"result"', fields, is_main_result = if (main) "true" else "false")
}

table_html <- function(frame) {
  frame <- utils::head(frame, HTML_ROWS)
  safe <- function(text) gsub("<", "&lt;", gsub("&", "&amp;", text, fixed = TRUE), fixed = TRUE)
  row <- function(tag, cells) {
    paste0("<tr>", paste0("<", tag, ">", safe(cells), "</", tag, ">", collapse = ""), "</tr>")
  }
  count <- nrow(frame)
  cells <- vapply(frame, function(column) format(column)[seq_len(count)], character(count))
  cells <- cbind(rownames(frame), matrix(cells, count))
  rows <- c(row("th", c("", names(frame))), apply(cells, 1L, function(each) row("td", each)))
  paste0("<table>\n", paste(rows, collapse = "\n"), "\n</table>")
}

open_device <- function(...) {
  dir.create(plots, showWarnings = FALSE, recursive = TRUE) # a cell may have tidied up
  grDevices::png(file.path(plots, "plot-%04d.png"), PLOT_PIXELS, PLOT_PIXELS, res = PLOT_DPI,
                 type = if (capabilities("cairo")) "cairo" else getOption("bitmapType"))
  device <<- grDevices::dev.cur()
}

show_plots <- function() {
  if (!is.null(device) && device %in% grDevices::dev.list()) grDevices::dev.off(device)
  device <<- NULL
  for (file in list.files(plots, full.names = TRUE)) {
    data <- readBin(file, "raw", file.size(file))
    unlink(file)
    if (length(data)) {
      send(type = '"result"', png = quoted(base64(data)), is_main_result = "false")
    }
  }
}

# -- Running a cell

complain <- function(condition) {
  if (getOption("warn") >= 2L) return() # R makes it an error
  if (getOption("warn") >= 0L) {
    call <- own_call(condition)
    where <- if (is.null(call)) "" else paste0("In ", call, " : ")
    cat("Warning message:\n", where, conditionMessage(condition), "\n", sep = "", file = stderr())
  }
  invokeRestart("muffleWarning")
}

first_line <- function(call) substr(deparse(call, nlines = 1L)[1], 1L, 200L)

# The call a condition tells of, unless it is how we run the cell.
own_call <- function(condition) {
  call <- conditionCall(condition)
  if (is.null(call)) return(NULL)
  text <- first_line(call)
  if (grepl("^(withVisible|eval|parse)\\(", text)) NULL else text
}

explained <- function(condition, calls) {
  call <- own_call(condition)
  where <- if (is.null(call)) "Error: " else paste0("Error in ", call, " : ")
  lines <- vapply(calls, first_line, "")
  lines <- lines[!grepl("^(\\.handleSimpleError|h)\\(", lines)]
  lines <- utils::head(lines, MAX_CALLS)
  if (length(lines)) lines <- c("Traceback:", paste0(seq_along(lines), ". ", lines))
  paste(c(paste0(where, conditionMessage(condition)), lines), collapse = "\n")
}

evaluate <- function(expression, main) {
  calls <- list()
  before <- sys.nframe() + 5L # withCallingHandlers, withVisible, eval and what they call
  remember <- function(condition) {
    all <- sys.calls()
    calls <<- if (length(all) > before) all[before:(length(all) - 1L)] else list()
    failed_in <<- calls
  }
  shown <- withCallingHandlers(
    withVisible(eval(expression, globalenv())), error = remember, warning = complain
  )
  if (shown$visible) {
    withCallingHandlers(show_value(shown$value, main), error = remember, warning = complain)
  }
}
failed_in <- list()

fail <- function(name, value, traceback) {
  send(type = '"error"', name = quoted(name), value = quoted(substr(value, 1L, 1e5)),
       traceback = quoted(substr(traceback, 1L, 5e5)))
}

fail_with <- function(condition) {
  name <- class(condition)[1]
  if (name == "simpleError") name <- "Error"
  fail(name, conditionMessage(condition), explained(condition, failed_in))
}

run <- function(code) {
  failed_in <<- list()
  tryCatch(
    {
      expressions <- tryCatch(
        parse(text = code, keep.source = TRUE),
        error = function(problem) {
          problem <- simpleError(sub("^<text>:", "cell:", conditionMessage(problem)))
          class(problem) <- c("SyntaxError", class(problem))
          stop(problem)
        }
      )
      count <- length(expressions)
      allowInterrupts(for (i in seq_len(count)) evaluate(expressions[[i]], i == count))
    },
    e2brun_exit = function(leaving) {
      if (leaving$status != 0L) {
        fail("Exit", as.character(leaving$status), sprintf("quit(status = %d)", leaving$status))
      }
    },
    interrupt = function(condition) fail("KeyboardInterrupt", "", ""),
    error = fail_with
  )
  tryCatch(show_plots(), error = function(condition) NULL)
}

# A cell that quits ends, and the kernel lives on.
quit <- function(save = "default", status = 0, runLast = TRUE) {
  leaving <- list(message = "quit", call = NULL, status = as.integer(status))
  signalCondition(structure(class = c("e2brun_exit", "condition"), leaving))
}

read <- function(count) {
  pieces <- list()
  while (count > 0) {
    piece <- readBin(cells, "raw", min(count, 2^20))
    if (!length(piece)) base::quit("no")
    pieces[[length(pieces) + 1L]] <- piece
    count <- count - length(piece)
  }
  unlist(pieces)
}

serve <- function() {
  count <- 0L
  repeat {
    size <- sum(as.integer(read(4)) * 256^(3:0))
    cell <- parse_cell(rawToChar(read(size)))
    count <- count + 1L
    send(type = '"started"', execution_count = count)
    before <- Sys.getenv(names(cell$env), unset = NA, names = TRUE)
    if (length(cell$env)) do.call(Sys.setenv, as.list(cell$env))
    run(cell$code)
    if (length(cell$env)) {
      Sys.unsetenv(names(before)[is.na(before)])
      if (!all(is.na(before))) do.call(Sys.setenv, as.list(before[!is.na(before)]))
    }
    send(type = '"end"')
  }
}

options(device = open_device)
attach(list(quit = quit, q = quit), name = "e2brun", warn.conflicts = FALSE)
suspendInterrupts(serve())

}, envir = new.env(parent = baseenv()))
