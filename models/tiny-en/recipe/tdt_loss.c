/* Token-and-duration transducer loss and its gradient for packed lattices.
 *
 * Segment k has T frames and U tokens and owns T * (U + 1) consecutive rows of `logits`, time-major: row t * (U + 1) + u.
 * A row holds V token logits (the last one, V - 1, is blank) and then D duration logits for durations 0 .. D - 1.
 * Blank may not take duration 0; a path ends by a blank that lands exactly on frame T. `grad` receives
 * d(loss) / d(logits), `loss` the negative log likelihood of each segment.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline float bf16_to_f32(uint16_t h) { union { uint32_t i; float f; } x; x.i = (uint32_t)h << 16; return x.f; }
static inline uint16_t f32_to_bf16(float f) {
    union { uint32_t i; float f; } x; x.f = f;
    return (uint16_t)((x.i + 0x7fff + ((x.i >> 16) & 1)) >> 16);
}
static inline float log_add(float a, float b) {
    float hi = a > b ? a : b, lo = a > b ? b : a;
    return lo < -1e29f ? hi : hi + log1pf(expf(lo - hi));
}

/* bf16 logits in, bf16 gradient out (may be the same memory). */
void tdt_segments(const uint16_t *logits, uint16_t *grad, const int64_t *start, const int64_t *frames, const int64_t *tokens,
                  const int64_t *label_at, const int64_t *labels, float *loss, int64_t first, int64_t last, int64_t V, int64_t D) {
    const int64_t W = V + D;
    const float NEG = -1e30f;
    for (int64_t k = first; k < last; k++) {
        const int64_t T = frames[k], U = tokens[k], S = U + 1, N = T * S;
        const int64_t *y = labels + label_at[k];
        const uint16_t *x = logits + start[k] * W;
        uint16_t *g = grad + start[k] * W;
        float *lse = malloc(sizeof(float) * N), *blank = malloc(sizeof(float) * N), *label = malloc(sizeof(float) * N);
        float *dur = malloc(sizeof(float) * N * D), *a = malloc(sizeof(float) * N), *b = malloc(sizeof(float) * N);
        float row[1024];
        for (int64_t n = 0; n < N; n++) {
            const uint16_t *r = x + n * W;
            float m = NEG, s = 0, dm = NEG, ds = 0;
            for (int64_t v = 0; v < W; v++) row[v] = bf16_to_f32(r[v]);
            for (int64_t v = 0; v < V; v++) m = row[v] > m ? row[v] : m;
            for (int64_t v = 0; v < V; v++) s += expf(row[v] - m);
            lse[n] = m + logf(s);
            for (int64_t d = 0; d < D; d++) dm = row[V + d] > dm ? row[V + d] : dm;
            for (int64_t d = 0; d < D; d++) ds += expf(row[V + d] - dm);
            for (int64_t d = 0; d < D; d++) dur[n * D + d] = row[V + d] - dm - logf(ds);
            blank[n] = row[V - 1] - lse[n];
            label[n] = n % S < U ? row[y[n % S]] - lse[n] : NEG;
        }
        for (int64_t t = 0; t < T; t++)
            for (int64_t u = 0; u < S; u++) {
                float v = t == 0 && u == 0 ? 0.0f : NEG;
                for (int64_t d = 0; d < D && d <= t; d++) {
                    int64_t n = (t - d) * S + u;
                    if (d > 0) v = log_add(v, a[n] + blank[n] + dur[n * D + d]);
                    if (u > 0) v = log_add(v, a[n - 1] + label[n - 1] + dur[(n - 1) * D + d]);
                }
                a[t * S + u] = v;
            }
        for (int64_t t = T - 1; t >= 0; t--)
            for (int64_t u = S - 1; u >= 0; u--) {
                int64_t n = t * S + u;
                float v = NEG;
                for (int64_t d = 0; d < D; d++) {
                    if (d > 0) {
                        if (t + d < T) v = log_add(v, blank[n] + dur[n * D + d] + b[n + d * S]);
                        else if (t + d == T && u == U) v = log_add(v, blank[n] + dur[n * D + d]);
                    }
                    if (u < U && t + d < T) v = log_add(v, label[n] + dur[n * D + d] + b[n + d * S + 1]);
                }
                b[n] = v;
            }
        const float L = b[0];
        loss[k] = -L;
        if (L < -1e29f) { loss[k] = 0; memset(g, 0, sizeof(uint16_t) * N * W); }
        else for (int64_t n = 0; n < N; n++) {
            const uint16_t *r = x + n * W;
            uint16_t *o = g + n * W;
            const int64_t t = n / S, u = n % S;
            if (a[n] + b[n] - L < -18.0f) { memset(o, 0, sizeof(uint16_t) * W); continue; } /* practically never visited */
            float pb = 0, pl = 0, pd[16] = {0};
            for (int64_t d = 0; d < D; d++) {
                float base = a[n] + dur[n * D + d] - L, p = 0;
                if (d > 0) {
                    if (t + d < T) p = expf(base + blank[n] + b[n + d * S]);
                    else if (t + d == T && u == U) p = expf(base + blank[n]);
                    pb += p; pd[d] += p;
                }
                if (u < U && t + d < T) { p = expf(base + label[n] + b[n + d * S + 1]); pl += p; pd[d] += p; }
            }
            const float all = pb + pl, z = lse[n];
            for (int64_t v = 0; v < V; v++) row[v] = all * expf(bf16_to_f32(r[v]) - z);
            row[V - 1] -= pb;
            if (u < U) row[y[u]] -= pl;
            for (int64_t d = 0; d < D; d++) row[V + d] = all * expf(dur[n * D + d]) - pd[d];
            for (int64_t v = 0; v < W; v++) o[v] = f32_to_bf16(row[v]);
        }
        free(lse); free(blank); free(label); free(dur); free(a); free(b);
    }
}

/* Joint input of packed lattices: row n of segment k is relu(enc[t] + dec[u]), bf16. enc_at / dec_at: first row of the segment. */
void joint_forward(const float *enc, const float *dec, uint16_t *joint, const int64_t *start, const int64_t *frames, const int64_t *tokens,
                   const int64_t *enc_at, const int64_t *dec_at, int64_t first, int64_t last, int64_t C) {
    for (int64_t k = first; k < last; k++) {
        uint16_t *o = joint + start[k] * C;
        for (int64_t t = 0; t < frames[k]; t++) {
            const float *e = enc + (enc_at[k] + t) * C;
            for (int64_t u = 0; u <= tokens[k]; u++, o += C) {
                const float *d = dec + (dec_at[k] + u) * C;
                for (int64_t c = 0; c < C; c++) { float v = e[c] + d[c]; o[c] = f32_to_bf16(v > 0 ? v : 0); }
            }
        }
    }
}

/* Its gradient: adds grad (bf16) where joint > 0 to d_enc and d_dec. Segments never share rows of enc. Two segments of one batch row
 * share one row of dec, so this runs in one thread. */
void joint_backward(const uint16_t *grad, const uint16_t *joint, float *d_enc, float *d_dec, const int64_t *start, const int64_t *frames,
                    const int64_t *tokens, const int64_t *enc_at, const int64_t *dec_at, int64_t first, int64_t last, int64_t C) {
    for (int64_t k = first; k < last; k++) {
        const uint16_t *g = grad + start[k] * C, *j = joint + start[k] * C;
        for (int64_t t = 0; t < frames[k]; t++) {
            float *e = d_enc + (enc_at[k] + t) * C;
            for (int64_t u = 0; u <= tokens[k]; u++, g += C, j += C) {
                float *d = d_dec + (dec_at[k] + u) * C;
                for (int64_t c = 0; c < C; c++) {
                    float v = j[c] ? bf16_to_f32(g[c]) : 0.0f;
                    e[c] += v;
                    d[c] += v;
                }
            }
        }
    }
}
