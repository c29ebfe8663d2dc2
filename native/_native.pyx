# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False
"""Bindings of the C++ kernels in native/src.

Callers pass arrays of the right type and allocate what is filled; shapes are
checked here, before the GIL is released. Nothing here imports numpy.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector


cdef extern from "layout.hpp" namespace "reconciler" nogil:
    cdef enum class Metric(int):
        cosine
        ip
        l2
    cdef struct Side:
        const float* scale
        const float* inverse_norm
        const float* residual
        const float* rest
        const float* norm
        const float* half_square
        const float* rest_scale
        const float* rest_residual
        const float* low_scale
        const float* low_rest_scale
        const float* low_residual
        const float* octet_scale
        const float* octet_residual
    cdef cppclass CBasis "reconciler::Basis":
        CBasis()
        const float* matrix
        double error
        size_t head
    cdef struct Codes:
        const uint8_t* head
        const uint8_t* rest
        const uint8_t* low
        const uint8_t* octets
        Side side
        double unit
        CBasis basis
    cdef struct Clusters:
        const float* centres
        const int64_t* starts
        size_t count
    cdef cppclass SegmentView:
        const float* rows
        const int64_t* ids
        const double* norms
        const uint8_t* alive
        size_t count
        Codes codes
        Clusters clusters
    size_t coded_dim(size_t)
    const size_t kMinCodedDim
    const size_t kMaxDim
    const size_t kSideArrays

cdef extern from "kernels.hpp" namespace "reconciler" nogil:
    cdef struct Kernels:
        const char* name
    vector[const Kernels*] supported_kernels() except +
    const Kernels& kernels() except +
    void use_kernels(const char*) except +

cdef extern from "pool.hpp" namespace "reconciler" nogil:
    cdef cppclass CPool "reconciler::Pool":
        CPool(size_t, vector[int]) except +
        size_t threads()

cdef extern from "codes.hpp" namespace "reconciler" nogil:
    cdef struct CodeArrays:
        uint8_t* head
        uint8_t* rest
        uint8_t* low
        uint8_t* octets
        float* scale
        float* inverse_norm
        float* residual
        float* rest_size
        float* norm
        float* half_square
        float* rest_scale
        float* rest_residual
        float* low_scale
        float* low_rest_scale
        float* low_residual
        float* octet_scale
        float* octet_residual
    void row_norms(const float*, size_t, size_t, double*) except +
    double encode_rows(const float*, const double*, size_t, size_t, Metric,
                       const CBasis&, const CodeArrays&, CPool&) except +

cdef extern from "rounding.hpp" namespace "reconciler" nogil:
    float saturate(double) noexcept

cdef extern from "best.hpp" namespace "reconciler" nogil:
    cdef struct Hit:
        double key
        int64_t id

    cdef cppclass Best:
        @staticmethod
        Best top(size_t)

cdef extern from "query.hpp" namespace "reconciler" nogil:
    cdef cppclass Query:
        Query(const float*, size_t, Metric, Best) except +
    vector[uint8_t] c_bounds_hold "reconciler::bounds_hold"(
        Query&, const SegmentView&) except +

cdef extern from "search.hpp" namespace "reconciler" nogil:
    cdef cppclass Index:
        Index()
        vector[SegmentView] segments
        size_t dim
        Metric metric
    cdef cppclass Count "std::atomic<std::uint64_t>":
        uint64_t load()
    cdef cppclass Counters:
        Counters()
        Count coded
        Count refined
        Count scored
    vector[vector[Hit]] c_search "reconciler::search"(
        const Index&, const float*, size_t, size_t, CPool&,
        Counters&) except +
    vector[vector[Hit]] c_range_search "reconciler::range_search"(
        const Index&, const float*, size_t, double, CPool&,
        Counters&) except +

cdef extern from "advantages.hpp" namespace "reconciler" nogil:
    void c_gae "reconciler::gae"(
        const float*, const float*, const float*, const int64_t*, size_t,
        float, float, float*, float*) except +

cdef extern from "features.hpp" namespace "reconciler" nogil:
    void c_hash_features "reconciler::hash_features"(
        const char*, size_t, size_t, float*) noexcept

cdef extern from "verdicts.hpp" namespace "reconciler" nogil:
    const uint16_t kUnsure
    uint16_t verdict_code(const char*, size_t, const char*, size_t) noexcept


MIN_CODED_DIM = kMinCodedDim
MAX_DIM = kMaxDim
SIDE_ARRAYS = kSideArrays


def isa_levels():
    """Instruction sets that this processor can run, slowest first."""
    cdef vector[const Kernels*] found = supported_kernels()
    cdef size_t i
    return [found[i].name.decode() for i in range(found.size())]


def isa():
    """The instruction set in use.

    Raises:
        RuntimeError: RECONCILER_ISA names one that this processor lacks.
    """
    return kernels().name.decode()


def use_isa(str name):
    """Use another instruction set in this process.

    Raises:
        ValueError: this processor cannot run it.
    """
    cdef bytes encoded = name.encode()
    use_kernels(encoded)


cdef class Pool:
    """Threads that help searches; see native/src/pool.hpp."""

    cdef unique_ptr[CPool] pool

    def __cinit__(self, size_t threads, cpus=()):
        cdef vector[int] where = sorted(cpus)
        self.pool.reset(new CPool(threads, where))

    @property
    def threads(self):
        """How many threads a search may use, the caller among them."""
        return self.pool.get().threads()


def norms(const float[:, ::1] rows, double[::1] out):
    """Fill out with the Euclidean norm of every row."""
    if out.shape[0] != rows.shape[0]:
        raise ValueError("one norm for each row")
    if <size_t>rows.shape[1] > kMaxDim:
        raise ValueError(f"more than {kMaxDim} dimensions")
    with nogil:
        row_norms(&rows[0, 0], rows.shape[0], rows.shape[1], &out[0])


cdef size_t _padded(size_t count) noexcept nogil:
    return (count + 15) // 16 * 16


cdef class Basis:
    """How vectors are rotated before they are coded.

    matrix is of shape (dim, coded dim) and stays as it is; None: a fixed
    transform. head is how many of the rotated dimensions come first. error
    is at least the norm of matrix @ matrix.T - 1 (native/src/rotation.hpp).

    Raises:
        ValueError: shapes do not fit, or the matrix is not nearly orthogonal.
    """

    cdef CBasis basis
    cdef size_t dim
    cdef object kept

    def __cinit__(self, size_t dim, const float[:, ::1] matrix=None,
                  size_t head=0, double error=0.0):
        cdef size_t coded = coded_dim(dim)
        if dim < kMinCodedDim or dim > kMaxDim:
            raise ValueError(f"no codes of {dim} dimensions")
        self.dim = dim
        self.basis.head = coded
        if matrix is None:
            return
        if (<size_t>matrix.shape[0] != dim
                or <size_t>matrix.shape[1] != coded):
            raise ValueError(f"the matrix must be of shape {(dim, coded)}")
        if head == 0 or head > coded or head % 32 != 0:
            raise ValueError(f"a head of {head} of {coded} dimensions")
        if not 0.0 <= error <= 1.0 / 1024:
            raise ValueError("the matrix is not nearly orthogonal")
        self.kept = matrix
        self.basis.matrix = &matrix[0, 0]
        self.basis.head = head
        self.basis.error = error


cdef _check_codes(size_t count, size_t dim, Basis basis, const uint8_t[::1] head,
                  const uint8_t[::1] rest, const uint8_t[::1] low,
                  const uint8_t[::1] octets, const float[:, ::1] side):
    cdef size_t coded = coded_dim(dim)
    cdef size_t first = basis.basis.head
    if (
        basis.dim != dim
        or <size_t>head.shape[0] != _padded(count) * first // 2
        or <size_t>rest.shape[0] != count * ((coded - first) // 2)
        or <size_t>low.shape[0] != count * (coded // 2)
        or <size_t>octets.shape[0] != _padded(count) * first
        or <size_t>side.shape[0] != kSideArrays
        or <size_t>side.shape[1] != _padded(count)
    ):
        raise ValueError("the codes do not have the shape of the rows")


cdef Metric _metric(int number) except *:
    if number < 0 or number > 2:
        raise ValueError(f"no metric {number}")
    return <Metric>number


def encode(const float[:, ::1] rows, const double[::1] lengths, int metric,
           Basis basis not None, uint8_t[::1] head, uint8_t[::1] rest,
           uint8_t[::1] low, uint8_t[::1] octets, float[:, ::1] side,
           Pool pool not None):
    """Fill the code arrays (zeroed by the caller) and return their unit."""
    cdef size_t count = rows.shape[0]
    cdef size_t dim = rows.shape[1]
    cdef Metric kind = _metric(metric)
    _check_codes(count, dim, basis, head, rest, low, octets, side)
    if <size_t>lengths.shape[0] != count:
        raise ValueError("one norm for each row")
    cdef bint parted = rest.shape[0] > 0
    cdef CodeArrays out
    out.head = &head[0]
    out.rest = &rest[0] if parted else NULL
    out.low = &low[0]
    out.octets = &octets[0]
    out.scale = &side[0, 0]
    out.inverse_norm = &side[1, 0]
    out.residual = &side[2, 0]
    out.rest_size = &side[3, 0] if parted else NULL
    out.norm = &side[4, 0] if metric != 0 else NULL
    out.half_square = &side[5, 0] if metric == 2 else NULL
    out.rest_scale = &side[6, 0]
    out.rest_residual = &side[7, 0]
    out.low_scale = &side[8, 0]
    out.low_rest_scale = &side[9, 0]
    out.low_residual = &side[10, 0]
    out.octet_scale = &side[11, 0]
    out.octet_residual = &side[12, 0]
    cdef double unit
    with nogil:
        unit = encode_rows(&rows[0, 0], &lengths[0], count, dim, kind,
                           basis.basis, out, pool.pool.get()[0])
    return unit


cdef class Segment:
    """Rows with their ids, norms and, or not, codes; never changes."""

    cdef SegmentView view
    cdef size_t dim
    cdef int metric
    cdef object kept
    cdef object clusters

    def __cinit__(self, const float[:, ::1] rows, const int64_t[::1] ids,
                  const double[::1] lengths, int metric, Basis basis=None,
                  head=None, rest=None, low=None, octets=None, side=None,
                  double unit=1.0):
        cdef size_t count = rows.shape[0]
        if <size_t>ids.shape[0] != count or (
            <size_t>lengths.shape[0] != count
        ):
            raise ValueError("one id and one norm for each row")
        _metric(metric)
        self.dim = rows.shape[1]
        self.metric = metric
        self.kept = (rows, ids, lengths, basis, head, rest, low, octets,
                     side)
        self.view.rows = &rows[0, 0]
        self.view.ids = &ids[0]
        self.view.norms = &lengths[0]
        self.view.alive = NULL
        self.view.count = count
        self.view.codes.head = NULL
        if basis is not None:
            self._set_codes(basis, head, rest, low, octets, side, unit)

    cdef _set_codes(self, Basis basis, const uint8_t[::1] head,
                    const uint8_t[::1] rest, const uint8_t[::1] low,
                    const uint8_t[::1] octets, const float[:, ::1] side,
                    double unit):
        _check_codes(self.view.count, self.dim, basis, head, rest, low,
                     octets, side)
        cdef bint parted = rest.shape[0] > 0
        cdef Codes* codes = &self.view.codes
        codes.basis = basis.basis
        codes.head = &head[0]
        codes.rest = &rest[0] if parted else NULL
        codes.low = &low[0]
        codes.octets = &octets[0]
        codes.unit = unit
        codes.side.scale = &side[0, 0]
        codes.side.inverse_norm = &side[1, 0]
        codes.side.residual = &side[2, 0]
        codes.side.rest = &side[3, 0] if parted else NULL
        codes.side.norm = &side[4, 0] if self.metric != 0 else NULL
        codes.side.half_square = &side[5, 0] if self.metric == 2 else NULL
        codes.side.rest_scale = &side[6, 0]
        codes.side.rest_residual = &side[7, 0]
        codes.side.low_scale = &side[8, 0]
        codes.side.low_rest_scale = &side[9, 0]
        codes.side.low_residual = &side[10, 0]
        codes.side.octet_scale = &side[11, 0]
        codes.side.octet_residual = &side[12, 0]


    def set_clusters(self, const float[:, ::1] centres,
                     const int64_t[::1] starts):
        """Say which rows are alike: those from starts[i] to starts[i + 1].

        centres has one column for each, and columns to fill up a multiple of
        32. To be called before the first search.

        Raises:
            ValueError: shapes do not fit, or starts do not rise from 0 to
                the number of rows.
        """
        cdef Py_ssize_t count = starts.shape[0] - 1
        cdef Py_ssize_t i
        if (count < 1 or <size_t>centres.shape[0] != self.dim
                or <size_t>centres.shape[1] != coded_dim(count)):
            raise ValueError("the clusters do not have the shape of the rows")
        if starts[0] != 0 or <size_t>starts[count] != self.view.count:
            raise ValueError("clusters that are not all rows")
        for i in range(count):
            if starts[i] > starts[i + 1]:
                raise ValueError(f"starts fall at cluster {i}")
        self.clusters = (centres, starts)
        self.view.clusters.centres = &centres[0, 0]
        self.view.clusters.starts = &starts[0]
        self.view.clusters.count = count


cdef _fill(Index* index, list segments, list alive, size_t dim, int metric):
    cdef Segment segment
    cdef SegmentView view
    cdef const uint8_t[::1] mask
    index.dim = dim
    index.metric = _metric(metric)
    for item, bits in zip(segments, alive, strict=True):
        segment = item
        if segment.dim != dim or segment.metric != metric:
            raise ValueError("a segment has another dimension or metric")
        view = segment.view
        if view.count == 0:
            continue
        if bits is not None:
            mask = bits
            if <size_t>mask.shape[0] != view.count:
                raise ValueError("one mask byte for each row")
            view.alive = &mask[0]
        index.segments.push_back(view)


cdef tuple _counts(Counters& counters):
    return (counters.coded.load(), counters.refined.load(),
            counters.scored.load())


def search(list segments, list alive, const float[:, ::1] queries, int metric,
           Pool pool not None, int64_t[:, ::1] ids, float[:, ::1] scores):
    """Fill the k best ids and scores of every query, k columns wide.

    Where there are fewer, the rest is id -1 with a score of minus infinity
    (plus infinity for l2). Returns the counts of rows that were bounded by
    the high codes, bounded by both, and scored exactly.

    The masks must not change before this returns.
    """
    cdef Index index
    cdef Counters counters
    cdef size_t count = queries.shape[0]
    cdef size_t k = ids.shape[1]
    if (
        <size_t>ids.shape[0] != count
        or <size_t>scores.shape[0] != count
        or <size_t>scores.shape[1] != k
    ):
        raise ValueError("ids and scores must be of shape (queries, k)")
    _fill(&index, segments, alive, queries.shape[1], metric)
    if count == 0 or k == 0:
        return (0, 0, 0)
    cdef vector[vector[Hit]] hits
    cdef size_t q, i
    cdef float sign = -1.0 if metric == 2 else 1.0
    with nogil:
        hits = c_search(index, &queries[0, 0], count, k, pool.pool.get()[0],
                        counters)
        for q in range(count):
            for i in range(k):
                if i < hits[q].size():
                    ids[q, i] = hits[q][i].id
                    scores[q, i] = saturate(sign * hits[q][i].key) + 0.0
                else:
                    ids[q, i] = -1
                    scores[q, i] = -sign * INFINITY
    return _counts(counters)


def range_search(list segments, list alive, const float[:, ::1] queries,
                 int metric, double radius, Pool pool not None):
    """Everything within a radius (l2) or with at least a score.

    Returns the number of hits of each query, then all ids as bytes of int64
    and all scores as bytes of float32, best first.
    """
    cdef Index index
    cdef Counters counters
    cdef size_t count = queries.shape[0]
    _fill(&index, segments, alive, queries.shape[1], metric)
    if count == 0:
        return [], b"", b""
    cdef float sign = -1.0 if metric == 2 else 1.0
    cdef double least = sign * radius
    cdef vector[vector[Hit]] hits
    cdef vector[int64_t] ids
    cdef vector[float] scores
    cdef size_t q, i
    with nogil:
        hits = c_range_search(index, &queries[0, 0], count, least,
                              pool.pool.get()[0], counters)
        for q in range(count):
            for i in range(hits[q].size()):
                ids.push_back(hits[q][i].id)
                scores.push_back(saturate(sign * hits[q][i].key) + 0.0)
    return (
        [hits[q].size() for q in range(count)],
        PyBytes_FromStringAndSize(<const char*>ids.data(), ids.size() * 8),
        PyBytes_FromStringAndSize(<const char*>scores.data(),
                                  scores.size() * 4),
    )


def bounds_hold(Segment segment not None, const float[::1] query):
    """Whether each row's bounds reach its own score; for tests.

    Always true, or a search could miss a row (native/src/bounds.hpp).
    """
    if <size_t>query.shape[0] != segment.dim or segment.view.count == 0:
        raise ValueError("a query of the segment's dimension is needed")
    cdef unique_ptr[Query] prepared
    prepared.reset(new Query(&query[0], segment.dim,
                             <Metric>segment.metric, Best.top(1)))
    cdef vector[uint8_t] found = c_bounds_hold(prepared.get()[0],
                                               segment.view)
    return [found[i] != 0 for i in range(found.size())]


def gae(const float[::1] rewards, const float[::1] values,
        const float[::1] bootstrap, const int64_t[::1] offsets, float gamma,
        float lam, float[::1] advantages, float[::1] returns):
    """Fill advantages and returns; see native/src/advantages.hpp.

    Raises:
        ValueError: lengths differ, or offsets do not rise from 0 to the
            number of steps.
    """
    cdef Py_ssize_t steps = rewards.shape[0]
    cdef Py_ssize_t count = offsets.shape[0] - 1
    cdef Py_ssize_t i
    if count < 0 or bootstrap.shape[0] != count:
        raise ValueError("one offset more than trajectories is needed")
    if (values.shape[0] != steps or advantages.shape[0] != steps
            or returns.shape[0] != steps):
        raise ValueError("one value for each reward is needed")
    if offsets[0] != 0 or offsets[count] != steps:
        raise ValueError(f"offsets must run from 0 to {steps}")
    for i in range(count):
        if offsets[i] > offsets[i + 1]:
            raise ValueError(f"offsets fall at trajectory {i}")
    if steps == 0:
        return
    with nogil:
        c_gae(&rewards[0], &values[0], &bootstrap[0], &offsets[0], count,
              gamma, lam, &advantages[0], &returns[0])


def hash_features(list texts, float[:, ::1] out):
    """Add the features of UTF-8 texts (bytes) to the rows of out."""
    if out.shape[0] != len(texts) or out.shape[1] == 0:
        raise ValueError("one row of at least one column for each text")
    cdef Py_ssize_t i
    cdef bytes text
    for i in range(len(texts)):
        text = texts[i]
        c_hash_features(text, len(text), out.shape[1], &out[i, 0])


cdef uint16_t _verdict(object kind, object value) except? 0xFFFF:
    cdef Py_ssize_t kind_size = 0
    cdef Py_ssize_t value_size = 0
    if not isinstance(kind, str) or not isinstance(value, str):
        return kUnsure
    cdef const char* name = PyUnicode_AsUTF8AndSize(kind, &kind_size)
    cdef const char* text = PyUnicode_AsUTF8AndSize(value, &value_size)
    return verdict_code(name, kind_size, text, value_size)


def verdict_codes(list rows, uint16_t[::1] out):
    """Fill out with the code of each row, a tuple of kind and JSON text.

    See native/src/verdicts.hpp for the codes. Returns how many rows it is
    unsure about; their code is 0xFFFF.

    Raises:
        ValueError: out has another length, or a row is not a tuple of two.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t unsure = 0
    cdef Py_ssize_t count = len(rows)
    cdef object row
    if out.shape[0] != count:
        raise ValueError("one code for each row")
    for i in range(count):
        row = rows[i]
        if not isinstance(row, tuple) or len(<tuple>row) != 2:
            raise ValueError("a row is a tuple of kind and JSON text")
        try:
            out[i] = _verdict((<tuple>row)[0], (<tuple>row)[1])
        except UnicodeEncodeError:  # half a surrogate is no UTF-8
            out[i] = kUnsure
        if out[i] == kUnsure:
            unsure += 1
    return unsure
