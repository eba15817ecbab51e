# A dense layer and its LRP rules behind the wire protocol (docs/protocol.md): a harness to start your own from.
#
#     lrp-conform run --command "julia --startup-file=no harness.jl"             (Julia 1.6 or later, JSON.jl)
#
# To judge a library, let `propagate` call it, and let `INFO` say what it can be asked; the rest is the protocol.
# Rules, stabilisers and bias modes are those of golden/README.md, section 3. T is the configured dtype: every array
# and every parameter is of this type, so every operation is rounded to it.

import JSON
using Printf: @sprintf

const INFO = Dict{String,Any}(
    "name" => "harness.jl", "version" => "1.0", "dtypes" => ["float64", "float32"],
    "features" => [
        "op.dense", "rule.zero", "rule.epsilon", "rule.alpha-beta", "rule.alpha1-beta0", "rule.z-plus", "rule.z-plus-fast",
        "rule.gamma", "rule.generalized-gamma", "rule.w-square", "rule.flat", "rule.z-box", "rule.alpha-beta-x", "rule.abs-z",
        "rule.norm", "rule.gradient", "quadrants.several", "bounds.scalar", "bounds.channel", "bounds.array", "bias.absorb",
        "bias.split", "bias.ignore", "bias.square", "bias.raw", "bias.full_in_both", "bias.share", "bias.redistribute",
        "stabilizer.none", "stabilizer.signed_add", "stabilizer.unsigned_add", "stabilizer.clip", "stabilizer.replace_zero",
        "sign_at_zero.0", "sign_at_zero.-1",
    ],
)
const DTYPES = Dict("float64" => Float64, "float32" => Float32)

struct Unsupported <: Exception
    why::String
end

# Numbers and tensors --------------------------------------------------------------------------------------------------

# parse reads hexadecimal floats, decimals, "nan" and "inf" exactly; "%a" writes them, but "NaN" and "Inf".
number(::Type{T}, text) where {T} = T(parse(Float64, text))
hex(value) = lowercase(@sprintf("%a", Float64(value)))

read_values(::Type{T}, tensor) where {T} = T[number(T, text) for text in tensor["data"]]

# Tensors are row-major, and matrices of Julia column-major.
function read_matrix(::Type{T}, tensor) where {T}
    rows, columns = tensor["shape"]
    return permutedims(reshape(read_values(T, tensor), Int(columns), Int(rows)))
end

function write_matrix(matrix::Matrix{T}) where {T}
    texts = [hex(value) for value in vec(permutedims(matrix))]
    return Dict("dtype" => T === Float32 ? "float32" : "float64", "shape" => collect(size(matrix)), "data" => texts)
end

# Rules ----------------------------------------------------------------------------------------------------------------

pos(a) = max(a, zero(a))
neg(a) = min(a, zero(a))

"What the inputs contribute to every output (n), what belongs to its bias (c), a factor, and the outputs served."
struct Part{T}
    n::Matrix{T}
    c::Vector{T}
    f::T
    serves::BitVector
end
Part(n::Matrix{T}, c::Vector{T}, f=one(T)) where {T} = Part{T}(n, c, f, trues(length(c)))

"The parts of a rule for one sample: weights W (out, in), inputs x and their bounds (in), biases b and values y (out)."
function parts(rule, W::Matrix{T}, x, low, high, b, y) where {T}
    name = rule["rule"]
    parameter(key) = number(T, rule[key])
    z = W .* x'
    name in ("zero", "epsilon") && return [Part(z, b)]
    name == "norm" && return [Part(z, zero(b))]
    name == "flat" && return [Part(ones(T, size(W)), zero(b))]
    name == "gradient" && return [Part(W, zero(b))]
    name == "w-square" && return [Part(W .* W, b .* b)]
    name == "abs-z" && return [Part(abs.(z), abs.(b))]
    name == "z-plus" && return [Part(pos.(z), pos.(b))]
    name == "z-plus-fast" && return [Part(pos.(W) .* x', pos.(b))]
    name == "z-box" && return [Part(z .- pos.(W) .* low' .- neg.(W) .* high', zero(b))]
    name == "alpha-beta" &&
        return [Part(pos.(z), pos.(b), parameter("alpha")), Part(neg.(z), neg.(b), -parameter("beta"))]
    name == "alpha-beta-x" && return [
        Part(pos.(W) .* pos.(x'), pos.(b), parameter("alpha0")),
        Part(neg.(W) .* neg.(x'), neg.(b), parameter("alpha1")),
        Part(neg.(W) .* pos.(x'), neg.(b), -parameter("beta0")),
        Part(pos.(W) .* neg.(x'), pos.(b), -parameter("beta1")),
    ]
    name in ("gamma", "generalized-gamma") || throw(Unsupported("rule $name"))
    gamma = parameter("gamma")
    more(a) = a + gamma * pos(a)
    less(a) = a + gamma * neg(a)
    name == "gamma" && return [Part(more.(W) .* x', more.(b))]
    return [Part(more.(z), more.(b), one(T), y .> 0), Part(less.(z), less.(b), one(T), y .< 0)]
end

"From denominators d to the stabilised D."
function stabilised(stabilizer, d::Vector{T}) where {T}
    kind, epsilon = stabilizer["kind"], number(T, stabilizer["epsilon"])
    sgn(a) = a == 0 ? T(stabilizer["sign_at_zero"]) : sign(a)
    kind == "none" && return d
    kind == "signed_add" && return d .+ epsilon .* sgn.(d)
    kind == "unsigned_add" && return d .+ epsilon
    kind == "replace_zero" && return ifelse.(d .== 0, epsilon, d)
    kind == "clip" && return sgn.(d) .* max.(abs.(d), epsilon)
    throw(Unsupported("stabilizer $kind"))
end

"A bound of z-box in the shape of x (N, in): a number, one per channel, or an array of that shape."
function bound(given, x::Matrix{T}) where {T}
    given === nothing && return zero(x)
    values = given isa AbstractString ? [number(T, given)] : read_values(T, given)
    return [values[mod1((k - 1) * size(x, 2) + i, length(values))] for k in axes(x, 1), i in axes(x, 2)]
end

# ==== YOUR LIBRARY: replace the body of this function by a call of it =================================================
# weight (out, in), bias (out), x (N, in), arriving relevance R (N, out) -> y (N, out), relevance at the inputs (N, in).
function propagate(weight::Matrix{T}, bias::Vector{T}, rule, x::Matrix{T}, R::Matrix{T}) where {T}
    z = x * weight'
    y = z .+ bias'
    mode, inputs = rule["bias"], size(weight, 2)
    low, high = bound(get(rule, "low", nothing), x), bound(get(rule, "high", nothing), x)
    relevance = zero(x)
    for k in axes(x, 1)
        total = abs.(z[k, :]) .+ abs.(bias)
        kept = mode == "share" ? ifelse.(total .== 0, one(T), abs.(z[k, :]) ./ total) : ones(T, length(bias))
        for part in parts(rule, weight, x[k, :], low[k, :], high[k, :], bias, y[k, :])
            c = mode in ("ignore", "share") ? zero(bias) : mode in ("raw", "full_in_both") ? bias : part.c
            d = vec(sum(part.n, dims=2)) .+ c
            D = rule["rule"] == "gradient" ? one.(d) : stabilised(rule["stabilizer"], d)
            handed = part.f .* kept .* R[k, :] ./ D
            share = ifelse.(part.serves .& (D .!= 0), handed, zero(T))  # what is not handed on is dropped
            relevance[k, :] .+= part.n' * share
            mode == "redistribute" && (relevance[k, :] .+= sum((c .+ (D .- d)) .* share) / T(inputs))
        end
    end
    return y, relevance
end

# The protocol ---------------------------------------------------------------------------------------------------------

"A prepared layer with its rule: a function of the tensors x and relevance."
function prepare(::Type{T}, nodes, rules) where {T}
    node = first(nodes)
    (length(nodes) == 1 && node["op"] == "dense") || throw(Unsupported("one dense layer at a time"))
    params, rule = node["params"], rules[node["name"]]
    weight = read_matrix(T, params["weight"])
    bias = haskey(params, "bias") ? read_values(T, params["bias"]) : zeros(T, size(weight, 1))
    return function (x, R)
        y, relevance = propagate(weight, bias, rule, read_matrix(T, x), read_matrix(T, R))
        return Dict("y" => write_matrix(y), "relevance" => write_matrix(relevance))
    end
end

mutable struct Session
    dtype::DataType
    prepared::Vector{Any}
end

function answer(session, request)
    op = request["op"]
    op == "hello" && return Dict("info" => INFO)
    if op == "configure"
        dtype = request["dtype"]
        haskey(DTYPES, dtype) || throw(Unsupported("dtype $dtype"))
        session.dtype = DTYPES[dtype]
        return Dict("ok" => true, "effective" => Dict("threads" => 1))
    elseif op == "prepare"
        push!(session.prepared, prepare(session.dtype, request["nodes"], request["rules"]))
        return Dict("handle" => length(session.prepared))
    end
    op == "run" && return session.prepared[request["handle"]](request["x"], request["relevance"])
    op == "release" && (session.prepared[request["handle"]] = nothing)
    op in ("release", "bye") && return Dict("ok" => true)
    throw(ArgumentError("unknown op $op"))
end

function main()
    session = Session(Float64, [])
    for line in eachline(stdin)
        request = nothing
        reply = try
            request = JSON.parse(line)
            answer(session, request)
        catch why
            why isa Unsupported ? Dict("unsupported" => why.why) :
            Dict("error" => Dict("type" => string(typeof(why)), "message" => sprint(showerror, why)))
        end
        field(name) = request isa AbstractDict ? get(request, name, nothing) : nothing
        println(JSON.json(merge(Dict{String,Any}("seq" => field("seq")), reply)))
        flush(stdout)
        field("op") == "bye" && break
    end
end

main()
