# A dense layer and its LRP rules behind the wire protocol (docs/protocol.md): a harness to start your own from.
#
#     lrp-conform run --command "Rscript --vanilla harness.R"              (Debian: r-base-core and r-cran-jsonlite)
#
# To judge a library, let `propagate` call it, and let `info` say what it can be asked; the rest is the protocol.
# Rules, stabilisers and bias modes are those of golden/README.md, section 3. Numbers of R are doubles, so float64 is
# the only dtype that can honestly be declared.

info <- list(
  name = "harness.R", version = "1.0", dtypes = I("float64"),
  features = c(
    "op.dense", "rule.zero", "rule.epsilon", "rule.alpha-beta", "rule.alpha1-beta0", "rule.z-plus", "rule.z-plus-fast",
    "rule.gamma", "rule.generalized-gamma", "rule.w-square", "rule.flat", "rule.z-box", "rule.alpha-beta-x", "rule.abs-z",
    "rule.norm", "rule.gradient", "quadrants.several", "bounds.scalar", "bounds.channel", "bounds.array", "bias.absorb",
    "bias.split", "bias.ignore", "bias.square", "bias.raw", "bias.full_in_both", "bias.share", "bias.redistribute",
    "stabilizer.none", "stabilizer.signed_add", "stabilizer.unsigned_add", "stabilizer.clip", "stabilizer.replace_zero",
    "sign_at_zero.0", "sign_at_zero.-1"
  )
)

unsupported <- function(...) stop(errorCondition(paste0(...), class = "unsupported"))

# Numbers and tensors --------------------------------------------------------------------------------------------------

# as.numeric reads hexadecimal floats, decimals, "nan" and "inf" exactly, and "%a" writes them, but "NaN" and "Inf".
# Tensors are row-major, and matrices of R column-major.
read_matrix <- function(tensor) matrix(as.numeric(tensor$data), tensor$shape[1], tensor$shape[2], byrow = TRUE)

write_matrix <- function(values) {
  list(dtype = "float64", shape = dim(values), data = I(tolower(sprintf("%a", t(values)))))
}

# Rules ----------------------------------------------------------------------------------------------------------------

pos <- function(a) pmax(a, 0)
neg <- function(a) pmin(a, 0)

# What the inputs contribute to every output (n), what belongs to its bias (c), a factor, and the outputs served.
part <- function(n, c, f = 1, serves = TRUE) list(n = n, c = c, f = f, serves = serves)

# The parts of a rule for one sample: weights W, inputs x and their bounds, all (out, in); biases b and values y, (out).
parts <- function(rule, W, x, low, high, b, y) {
  parameter <- function(name) as.numeric(rule[[name]])
  z <- W * x
  switch(rule$rule,
    "zero" = , "epsilon" = list(part(z, b)),
    "norm" = list(part(z, 0)),
    "flat" = list(part(matrix(1, nrow(W), ncol(W)), 0)),
    "gradient" = list(part(W, 0)),
    "w-square" = list(part(W^2, b^2)),
    "abs-z" = list(part(abs(z), abs(b))),
    "z-plus" = list(part(pos(z), pos(b))),
    "z-plus-fast" = list(part(pos(W) * x, pos(b))),
    "z-box" = list(part(z - pos(W) * low - neg(W) * high, 0)),
    "alpha-beta" = list(
      part(pos(z), pos(b), parameter("alpha")),
      part(neg(z), neg(b), -parameter("beta"))
    ),
    "alpha-beta-x" = list(
      part(pos(W) * pos(x), pos(b), parameter("alpha0")),
      part(neg(W) * neg(x), neg(b), parameter("alpha1")),
      part(neg(W) * pos(x), neg(b), -parameter("beta0")),
      part(pos(W) * neg(x), pos(b), -parameter("beta1"))
    ),
    "gamma" = {
      g <- parameter("gamma")
      list(part((W + g * pos(W)) * x, b + g * pos(b)))
    },
    "generalized-gamma" = {
      g <- parameter("gamma")
      list(
        part(z + g * pos(z), b + g * pos(b), serves = y > 0),
        part(z + g * neg(z), b + g * neg(b), serves = y < 0)
      )
    },
    unsupported("rule ", rule$rule)
  )
}

# From denominators d to the stabilised D.
stabilised <- function(stabilizer, d) {
  epsilon <- as.numeric(stabilizer$epsilon)
  sgn <- ifelse(d == 0, stabilizer$sign_at_zero, sign(d))
  switch(stabilizer$kind,
    "none" = d,
    "signed_add" = d + epsilon * sgn,
    "unsigned_add" = d + epsilon,
    "replace_zero" = ifelse(d == 0, epsilon, d),
    "clip" = sgn * pmax(abs(d), epsilon),
    unsupported("stabilizer ", stabilizer$kind)
  )
}

# A bound of z-box in the shape of x: a number, one per channel, or an array of that shape.
bound <- function(given, x) {
  values <- as.numeric(if (is.null(given)) 0 else if (is.list(given)) given$data else given)
  matrix(values, nrow(x), ncol(x), byrow = TRUE) # repeated row by row
}

# ==== YOUR LIBRARY: replace the body of this function by a call of it =================================================
# weight (out, in), bias (out), x (N, in), arriving relevance R (N, out) -> y (N, out), relevance at the inputs (N, in).
propagate <- function(weight, bias, rule, x, R) {
  z <- x %*% t(weight)
  y <- z + rep(bias, each = nrow(x))
  low <- bound(rule[["low"]], x)
  high <- bound(rule[["high"]], x)
  relevance <- matrix(0, nrow(x), ncol(x))
  for (k in seq_len(nrow(x))) {
    wide <- function(inputs) matrix(inputs[k, ], nrow(weight), ncol(weight), byrow = TRUE)
    size <- abs(z[k, ]) + abs(bias)
    kept <- if (rule$bias == "share") ifelse(size == 0, 1, abs(z[k, ]) / size) else 1
    for (p in parts(rule, weight, wide(x), wide(low), wide(high), bias, y[k, ])) {
      constant <- switch(rule$bias, "ignore" = , "share" = 0, "raw" = , "full_in_both" = bias, p$c)
      d <- rowSums(p$n) + constant
      D <- if (rule$rule == "gradient") rep(1, length(d)) else stabilised(rule$stabilizer, d)
      quotient <- ifelse(p$serves & D != 0, p$f * kept * R[k, ] / D, 0) # what is not handed out is dropped
      relevance[k, ] <- relevance[k, ] + colSums(p$n * quotient)
      if (rule$bias == "redistribute") {
        relevance[k, ] <- relevance[k, ] + sum((constant + (D - d)) * quotient) / ncol(weight)
      }
    }
  }
  list(y = y, relevance = relevance)
}

# The protocol ---------------------------------------------------------------------------------------------------------

# A prepared layer with its rule: a function of the tensors x and relevance.
prepare <- function(nodes, rules) {
  node <- nodes[[1]]
  if (length(nodes) != 1 || node$op != "dense") unsupported("one dense layer at a time")
  rule <- rules[[node$name]]
  weight <- read_matrix(node$params$weight)
  bias <- if (is.null(node$params$bias)) numeric(nrow(weight)) else as.numeric(node$params$bias$data)
  function(x, R) lapply(propagate(weight, bias, rule, read_matrix(x), read_matrix(R)), write_matrix)
}

prepared <- list()

answer <- function(request) {
  switch(as.character(request$op),
    "hello" = list(info = info),
    "configure" = {
      if (request$dtype != "float64") unsupported("dtype ", request$dtype)
      list(ok = TRUE, effective = list(threads = 1L))
    },
    "prepare" = {
      prepared[[length(prepared) + 1]] <<- prepare(request$nodes, request$rules)
      list(handle = length(prepared))
    },
    "run" = prepared[[request$handle]](request$x, request$relevance),
    "release" = {
      prepared[request$handle] <<- list(NULL) # later handles keep their numbers
      list(ok = TRUE)
    },
    "bye" = list(ok = TRUE),
    stop("unknown op ", request$op)
  )
}

requests <- file("stdin", "r")
while (length(line <- readLines(requests, n = 1, encoding = "UTF-8")) > 0) {
  request <- NULL
  reply <- tryCatch(
    {
      request <- jsonlite::parse_json(line, simplifyVector = TRUE, simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
      answer(request)
    },
    unsupported = function(why) list(unsupported = conditionMessage(why)),
    error = function(why) list(error = list(type = class(why)[1], message = conditionMessage(why)))
  )
  seq <- list(seq = if (is.list(request)) request[["seq"]])
  cat(jsonlite::toJSON(c(seq, reply), auto_unbox = TRUE, null = "null", digits = NA), "\n", sep = "")
  flush(stdout())
  if (is.list(request) && identical(request[["op"]], "bye")) break
}
