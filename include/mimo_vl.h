/* MiMo-VL, the vision-language model, inside your program: open an image, ask a question, get an answer.
 *
 * Generated from mimo-vl-ffi by cbindgen; edit the comments there.
 *
 * The rules that hold for every function:
 *
 * - Status. A function that can fail returns a mimo_vl_status and takes a last argument `error_out`, which may be
 *   NULL. On success `*error_out` becomes NULL; on failure it becomes an error object with the code and a message
 *   that says what is wrong and where, to be freed with mimo_vl_error_free. Other results behave alike: `*x_out` is
 *   the new object on success and NULL on failure.
 * - Ownership. What a function hands out through `x_out` belongs to the caller and is freed once, with the free
 *   function of its noun. Handles may be freed in any order: what one needs of another it keeps alive itself.
 *   Arguments are only borrowed for the call, and copied where they are kept.
 * - NULL. Free functions ignore NULL. Any other NULL where an object, a string or a place for a result is needed is
 *   MIMO_VL_STATUS_OPTION with a message that names the argument, or has no effect in functions that cannot fail.
 * - Text in. Texts are UTF-8, names and paths end with NUL; anything else in them is MIMO_VL_STATUS_OPTION.
 *   (On Unix a path may be any bytes.)
 * - Text out. A mimo_vl_str borrows from the handle it was read from and lives as long as that handle, unless its
 *   function says shorter. Its `data` is never NULL and is followed by a NUL byte that `len` does not count.
 * - Threads. A handle may move between threads. Where a function takes a handle as `const`, threads may call it on
 *   one handle at the same time; otherwise one at a time. Nobody may use a handle while it is freed.
 * - Panics do not leave the library: a defect inside it is MIMO_VL_STATUS_INTERNAL.
 */

#ifndef MIMO_VL_H
#define MIMO_VL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The version of the interface that this header describes. Programs compare it with mimo_vl_abi_version(); the
 * number grows with every change that programs compiled before it would not survive.
 */
#define MIMO_VL_ABI_VERSION 1

/**
 * What came of a call. The numbers do not change, and are the same in Rust and Python.
 */
enum mimo_vl_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * All went well.
     */
    MIMO_VL_STATUS_OK = 0,
    /**
     * A file could not be opened or read.
     */
    MIMO_VL_STATUS_IO = 1,
    /**
     * A folder is not a usable checkpoint.
     */
    MIMO_VL_STATUS_CHECKPOINT = 2,
    /**
     * A tensor of the checkpoint is missing or has another shape or type.
     */
    MIMO_VL_STATUS_TENSOR = 3,
    /**
     * An image cannot be decoded or used.
     */
    MIMO_VL_STATUS_IMAGE = 4,
    /**
     * The prompt cannot be put to the model.
     */
    MIMO_VL_STATUS_PROMPT = 5,
    /**
     * Prompt and answer do not fit into the context.
     */
    MIMO_VL_STATUS_CONTEXT_TOO_LONG = 6,
    /**
     * An argument or option has a value out of its range: NULL, not UTF-8, a negative temperature, or a session
     * that is busy.
     */
    MIMO_VL_STATUS_OPTION = 7,
    /**
     * The device is unknown, not part of this build, or has no usable driver.
     */
    MIMO_VL_STATUS_DEVICE = 8,
    /**
     * The caller cancelled the work; the session is as it was before the call.
     */
    MIMO_VL_STATUS_CANCELLED = 9,
    /**
     * A defect of this library. The session that met it must not be used again; the model can be.
     */
    MIMO_VL_STATUS_INTERNAL = 10,
    /**
     * There is not enough free memory.
     */
    MIMO_VL_STATUS_MEMORY = 11,
    /**
     * The time that the caller allowed is over; the session is as it was before the call.
     */
    MIMO_VL_STATUS_DEADLINE = 12,
    /**
     * What the model answered cannot be read as what was asked of it.
     */
    MIMO_VL_STATUS_ANSWER = 13,
    /**
     * A checkpoint cannot be had from a model hub.
     */
    MIMO_VL_STATUS_HUB = 14,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_status mimo_vl_status;
#else
typedef int32_t mimo_vl_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What happened in an answer. Kinds may be added.
 */
enum mimo_vl_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * More of what the model thinks before it answers.
     */
    MIMO_VL_EVENT_KIND_THINKING = 0,
    /**
     * More of the answer.
     */
    MIMO_VL_EVENT_KIND_TEXT = 1,
    /**
     * The answer is complete.
     */
    MIMO_VL_EVENT_KIND_END = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_event_kind mimo_vl_event_kind;
#else
typedef int32_t mimo_vl_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Why an answer ended.
 */
enum mimo_vl_stop_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The model had finished.
     */
    MIMO_VL_STOP_REASON_END_OF_TEXT = 0,
    /**
     * The answer had max_tokens tokens.
     */
    MIMO_VL_STOP_REASON_MAX_TOKENS = 1,
    /**
     * The caller stopped it.
     */
    MIMO_VL_STOP_REASON_CANCELLED = 2,
    /**
     * The conversation fills the context.
     */
    MIMO_VL_STOP_REASON_CONTEXT_FULL = 3,
    /**
     * One of the caller's texts that end an answer appeared.
     */
    MIMO_VL_STOP_REASON_STOP_TEXT = 4,
    /**
     * The answer went round in circles.
     */
    MIMO_VL_STOP_REASON_LOOP = 5,
    /**
     * The time that the caller allowed is over.
     */
    MIMO_VL_STOP_REASON_DEADLINE = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_stop_reason mimo_vl_stop_reason;
#else
typedef int32_t mimo_vl_stop_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The type in which keys and values of earlier tokens are kept.
 */
enum mimo_vl_kv_cache
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * 32-bit floats.
     */
    MIMO_VL_KV_CACHE_F32 = 0,
    /**
     * 16-bit floats of IEEE 754.
     */
    MIMO_VL_KV_CACHE_F16 = 1,
    /**
     * Eight bits.
     */
    MIMO_VL_KV_CACHE_INT8 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_kv_cache mimo_vl_kv_cache;
#else
typedef int32_t mimo_vl_kv_cache;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A part of the work whose time is measured.
 */
enum mimo_vl_stage
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Loading the checkpoint, once for all its sessions.
     */
    MIMO_VL_STAGE_LOAD = 0,
    /**
     * Resizing pictures and cutting them into patches.
     */
    MIMO_VL_STAGE_PREPROCESS = 1,
    /**
     * Pictures through the vision tower.
     */
    MIMO_VL_STAGE_ENCODE = 2,
    /**
     * The new part of the conversation through the language model.
     */
    MIMO_VL_STAGE_PREFILL = 3,
    /**
     * The tokens of the answer.
     */
    MIMO_VL_STAGE_DECODE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_stage mimo_vl_stage;
#else
typedef int32_t mimo_vl_stage;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether the model thinks before it answers.
 */
enum mimo_vl_thinking
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Leave it to the model.
     */
    MIMO_VL_THINKING_AUTO = 0,
    /**
     * Think, which is what the model does by itself.
     */
    MIMO_VL_THINKING_ON = 1,
    /**
     * Answer at once.
     */
    MIMO_VL_THINKING_OFF = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_thinking mimo_vl_thinking;
#else
typedef int32_t mimo_vl_thinking;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The type in which weights are kept.
 */
enum mimo_vl_weights
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * As the checkpoint has them.
     */
    MIMO_VL_WEIGHTS_NATIVE = 0,
    /**
     * 32-bit floats.
     */
    MIMO_VL_WEIGHTS_F32 = 1,
    /**
     * 16-bit floats of IEEE 754.
     */
    MIMO_VL_WEIGHTS_F16 = 2,
    /**
     * bfloat16.
     */
    MIMO_VL_WEIGHTS_BF16 = 3,
    /**
     * Rounded to eight bits.
     */
    MIMO_VL_WEIGHTS_INT8 = 4,
    /**
     * Rounded to four bits, the more delicate ones to eight.
     */
    MIMO_VL_WEIGHTS_INT4 = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_weights mimo_vl_weights;
#else
typedef int32_t mimo_vl_weights;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A whole answer.
 */
typedef struct mimo_vl_answer mimo_vl_answer;

/**
 * A handle that stops the work of the session it came from. It outlives the session safely.
 */
typedef struct mimo_vl_cancel mimo_vl_cancel;

/**
 * Why a call failed.
 */
typedef struct mimo_vl_error mimo_vl_error;

/**
 * How an answer is generated. Values are checked when a question is asked.
 */
typedef struct mimo_vl_generate_options mimo_vl_generate_options;

/**
 * A decoded picture. Prompts that it was added to keep what they need of it.
 */
typedef struct mimo_vl_image mimo_vl_image;

/**
 * How a model is loaded.
 */
typedef struct mimo_vl_load_options mimo_vl_load_options;

/**
 * A loaded checkpoint, from which sessions are started.
 */
typedef struct mimo_vl_model mimo_vl_model;

/**
 * What one question adds to the conversation: text and pictures in the order in which they were added. One prompt
 * can be asked any number of times.
 */
typedef struct mimo_vl_prompt mimo_vl_prompt;

/**
 * A conversation with a model: it remembers the questions and answers so far. It keeps the model alive.
 */
typedef struct mimo_vl_session mimo_vl_session;

/**
 * An answer that is being written.
 */
typedef struct mimo_vl_stream mimo_vl_stream;

/**
 * Borrowed UTF-8 text. It lives as long as the handle it was read from, unless the function says shorter.
 */
typedef struct mimo_vl_str {
    /**
     * The first byte; never NULL. The byte after the last is NUL, and the text may hold NULs of its own.
     */
    const char *data;
    /**
     * Number of bytes, without the NUL that follows them.
     */
    size_t len;
} mimo_vl_str;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the interface that the loaded library has; it must equal MIMO_VL_ABI_VERSION.
 *
 * Threads: any.
 */
uint32_t mimo_vl_abi_version(void);

/**
 * The library's version, as in "0.1.0". NUL-terminated, valid for ever.
 *
 * Threads: any.
 */
const char *mimo_vl_version(void);

/**
 * The devices that this build can run on, separated by spaces, as in "cpu cuda:0". A card is named by its number;
 * whether there is one shows when a model is loaded. NUL-terminated, valid for ever.
 *
 * Threads: any.
 */
const char *mimo_vl_devices(void);

/**
 * The status that the failed call returned; MIMO_VL_STATUS_OK for NULL.
 */
mimo_vl_status mimo_vl_error_code(const struct mimo_vl_error *error);

/**
 * Put the message into `*message_out`: one line that names the file, tensor, image or argument at fault and says
 * what to do. It lives as long as the error. Empty for a NULL error; nothing happens when `message_out` is NULL.
 */
void mimo_vl_error_message(const struct mimo_vl_error *error,
                           struct mimo_vl_str *message_out);

/**
 * Free an error; NULL is ignored.
 */
void mimo_vl_error_free(struct mimo_vl_error *error);

/**
 * Options with the defaults: the CPU, weights as the checkpoint has them. Free them with mimo_vl_load_options_free.
 */
struct mimo_vl_load_options *mimo_vl_load_options_new(void);

/**
 * Set the device by name: "cpu", "ndarray" or "cuda:0". Whether it exists shows when a model is loaded.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and a name that is not UTF-8.
 */
mimo_vl_status mimo_vl_load_options_set_device(struct mimo_vl_load_options *options,
                                               const char *device,
                                               struct mimo_vl_error **error_out);

/**
 * Set the type in which weights are kept; `weights` is one of mimo_vl_weights.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
 */
mimo_vl_status mimo_vl_load_options_set_weights(struct mimo_vl_load_options *options,
                                                int32_t weights,
                                                struct mimo_vl_error **error_out);

/**
 * Set the type in which keys and values of earlier tokens are kept; `kv_cache` is one of mimo_vl_kv_cache. Without it:
 * 16-bit floats for weights of four or eight bits, else 32-bit floats.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
 */
mimo_vl_status mimo_vl_load_options_set_kv_cache(struct mimo_vl_load_options *options,
                                                 int32_t kv_cache,
                                                 struct mimo_vl_error **error_out);

/**
 * Set how many threads compute on the CPU, from 1 to 1,024; without it, one for each core. NULL options are ignored.
 */
void mimo_vl_load_options_set_threads(struct mimo_vl_load_options *options,
                                      size_t threads);

/**
 * Set how many tokens a conversation can have, from 1 to what the checkpoint was made for. NULL options are ignored.
 */
void mimo_vl_load_options_set_max_context(struct mimo_vl_load_options *options,
                                          size_t tokens);

/**
 * Free the options; NULL is ignored. Models loaded with them are not affected.
 */
void mimo_vl_load_options_free(struct mimo_vl_load_options *options);

/**
 * Options with the defaults: always the likeliest token, at most 4096 of them. Free them with
 * mimo_vl_generate_options_free.
 */
struct mimo_vl_generate_options *mimo_vl_generate_options_new(void);

/**
 * Set after how many tokens the answer is cut off, thinking included. NULL options are ignored.
 */
void mimo_vl_generate_options_set_max_tokens(struct mimo_vl_generate_options *options, size_t tokens);

/**
 * Set how freely the model chooses: 0 always takes the likeliest token, 1 follows its own probabilities. NULL options
 * are ignored.
 */
void mimo_vl_generate_options_set_temperature(struct mimo_vl_generate_options *options,
                                              float temperature);

/**
 * Choose among the `count` likeliest tokens only; 0 for all. NULL options are ignored.
 */
void mimo_vl_generate_options_set_top_k(struct mimo_vl_generate_options *options, size_t count);

/**
 * Choose among the likeliest tokens that together reach this probability; 1 for all. NULL options are ignored.
 */
void mimo_vl_generate_options_set_top_p(struct mimo_vl_generate_options *options,
                                        float probability);

/**
 * Leave out tokens that are less likely than the likeliest times `factor`; 0 for none. NULL options are ignored.
 */
void mimo_vl_generate_options_set_min_p(struct mimo_vl_generate_options *options,
                                        float factor);

/**
 * Make tokens that were there before less likely by this factor; 1 for no change. NULL options are ignored.
 */
void mimo_vl_generate_options_set_repetition_penalty(struct mimo_vl_generate_options *options, float penalty);

/**
 * Set where chance starts from: the same seed gives the same answer. NULL options are ignored.
 */
void mimo_vl_generate_options_set_seed(struct mimo_vl_generate_options *options, uint64_t seed);

/**
 * Set how many tokens are guessed at a time where the answer repeats what came before, from 0 for none to 7; the answer
 * is the same. Without it: 7 for a temperature of 0, else none. NULL options are ignored.
 */
void mimo_vl_generate_options_set_draft(struct mimo_vl_generate_options *options,
                                        size_t tokens);

/**
 * Free the options; NULL is ignored.
 */
void mimo_vl_generate_options_free(struct mimo_vl_generate_options *options);

/**
 * Load the checkpoint in the folder `path` (the layout of the hub: config.json, safetensors, tokenizer.json, ...).
 *
 * `options` may be NULL for the defaults. The model is freed with mimo_vl_model_free; sessions made from it keep what
 * they need of it.
 *
 * Errors: MIMO_VL_STATUS_IO, MIMO_VL_STATUS_CHECKPOINT and MIMO_VL_STATUS_TENSOR for the folder and its files,
 * MIMO_VL_STATUS_DEVICE for the device, MIMO_VL_STATUS_OPTION for other options and NULL arguments.
 */
mimo_vl_status mimo_vl_model_load(const char *path,
                                  const struct mimo_vl_load_options *options,
                                  struct mimo_vl_model **model_out,
                                  struct mimo_vl_error **error_out);

/**
 * Put the name of the model's device, as in "cpu", into `*device_out`. It lives as long as the model. Empty for a NULL
 * model; nothing happens when `device_out` is NULL.
 */
void mimo_vl_model_device(const struct mimo_vl_model *model,
                          struct mimo_vl_str *device_out);

/**
 * Free the model; NULL is ignored. Its memory goes with the last session made from it.
 */
void mimo_vl_model_free(struct mimo_vl_model *model);

/**
 * Open an image file: PNG, JPEG, GIF, WebP, BMP or TIFF. Its EXIF orientation is applied, and transparency is laid on
 * white. Free the image with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IO when the file cannot be read, MIMO_VL_STATUS_IMAGE when it is not an image, is damaged, cut
 * short or too large, MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_image_from_path(const char *path,
                                       struct mimo_vl_image **image_out,
                                       struct mimo_vl_error **error_out);

/**
 * Decode an image file that is in memory, `len` bytes from `data` on; as mimo_vl_image_from_path otherwise.
 *
 * Errors: MIMO_VL_STATUS_IMAGE when it is not an image, is damaged, cut short or too large, MIMO_VL_STATUS_OPTION for
 * NULL arguments.
 */
mimo_vl_status mimo_vl_image_from_bytes(const uint8_t *data,
                                        size_t len,
                                        struct mimo_vl_image **image_out,
                                        struct mimo_vl_error **error_out);

/**
 * Copy raw pixels: rows from the top, 3 bytes a pixel, red, green, blue. `stride` is the distance between the starts
 * of two rows in bytes, at least 3 * width. `len` is the number of bytes at `pixels`, at least
 * stride * (height - 1) + 3 * width. Free the image with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE when a side is 0 or too large, the stride is shorter than a row, or `len` is too small;
 * MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_image_from_rgb(uint32_t width,
                                      uint32_t height,
                                      size_t stride,
                                      const uint8_t *pixels,
                                      size_t len,
                                      struct mimo_vl_image **image_out,
                                      struct mimo_vl_error **error_out);

/**
 * Enlarge the picture to at least `pixels` pixels before the model sees it. For prompts that it is added to
 * afterwards. NULL is ignored.
 */
void mimo_vl_image_set_min_pixels(struct mimo_vl_image *image, uint32_t pixels);

/**
 * Shrink the picture to at most `pixels` pixels before the model sees it; 784 pixels cost one token. For prompts that
 * it is added to afterwards. NULL is ignored.
 */
void mimo_vl_image_set_max_pixels(struct mimo_vl_image *image,
                                  uint32_t pixels);

/**
 * Width in pixels, after the orientation was applied; 0 for NULL.
 */
uint32_t mimo_vl_image_width(const struct mimo_vl_image *image);

/**
 * Height in pixels, after the orientation was applied; 0 for NULL.
 */
uint32_t mimo_vl_image_height(const struct mimo_vl_image *image);

/**
 * Free the image; NULL is ignored.
 */
void mimo_vl_image_free(struct mimo_vl_image *image);

/**
 * An empty prompt of the user. Free it with mimo_vl_prompt_free.
 */
struct mimo_vl_prompt *mimo_vl_prompt_new_user(void);

/**
 * Say in `len` bytes of UTF-8 at `text` how the model is to behave, in place of what was said before about that, in
 * the prompt or the conversation.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
 */
mimo_vl_status mimo_vl_prompt_set_system(struct mimo_vl_prompt *prompt,
                                         const char *text,
                                         size_t len,
                                         struct mimo_vl_error **error_out);

/**
 * Add `len` bytes of UTF-8 at `text`. Text that looks like one of the model's special tokens stays text.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
 */
mimo_vl_status mimo_vl_prompt_add_text(struct mimo_vl_prompt *prompt,
                                       const char *text,
                                       size_t len,
                                       struct mimo_vl_error **error_out);

/**
 * Add a picture. The prompt shares its pixels; the image may be freed or changed afterwards.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_prompt_add_image(struct mimo_vl_prompt *prompt,
                                        const struct mimo_vl_image *image,
                                        struct mimo_vl_error **error_out);

/**
 * Set whether the model thinks before it answers; `thinking` is one of mimo_vl_thinking, and MIMO_VL_THINKING_AUTO
 * unless set.
 *
 * Errors: MIMO_VL_STATUS_OPTION for a NULL prompt and for another number.
 */
mimo_vl_status mimo_vl_prompt_set_thinking(struct mimo_vl_prompt *prompt,
                                           int32_t thinking,
                                           struct mimo_vl_error **error_out);

/**
 * Free the prompt; NULL is ignored.
 */
void mimo_vl_prompt_free(struct mimo_vl_prompt *prompt);

/**
 * Start a conversation. Free it with mimo_vl_session_free; the model may be freed before.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_session_new(const struct mimo_vl_model *model,
                                   struct mimo_vl_session **session_out,
                                   struct mimo_vl_error **error_out);

/**
 * Ask, and wait for the whole answer, which becomes part of the conversation. `options` may be NULL for the
 * defaults. Free the answer with mimo_vl_answer_free; it does not need the session any more.
 *
 * When the call fails the conversation is as it was before.
 *
 * Errors: MIMO_VL_STATUS_PROMPT and MIMO_VL_STATUS_IMAGE when the prompt cannot be put to the model,
 * MIMO_VL_STATUS_CONTEXT_TOO_LONG, MIMO_VL_STATUS_CANCELLED, MIMO_VL_STATUS_OPTION for NULL arguments, an option out of
 * its range, and while a stream of the session is open or another thread uses it.
 */
mimo_vl_status mimo_vl_session_ask(struct mimo_vl_session *session,
                                   const struct mimo_vl_prompt *prompt,
                                   const struct mimo_vl_generate_options *options,
                                   struct mimo_vl_answer **answer_out,
                                   struct mimo_vl_error **error_out);

/**
 * Ask, and read the answer while it is written, with mimo_vl_stream_next. The prompt is read before this call
 * returns. `options` may be NULL for the defaults.
 *
 * Until the stream is finished or freed the session does nothing else. Free it with mimo_vl_stream_free; the session
 * may be freed before.
 *
 * Errors: as mimo_vl_session_ask.
 */
mimo_vl_status mimo_vl_session_stream(struct mimo_vl_session *session,
                                      const struct mimo_vl_prompt *prompt,
                                      const struct mimo_vl_generate_options *options,
                                      struct mimo_vl_stream **stream_out,
                                      struct mimo_vl_error **error_out);

/**
 * Forget the conversation and start anew.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL, and while a stream of the session is open or another thread uses it.
 */
mimo_vl_status mimo_vl_session_reset(struct mimo_vl_session *session,
                                     struct mimo_vl_error **error_out);

/**
 * A handle with which any thread stops the answer that the session is giving; it may be asked for at any time, also
 * while another thread waits for an answer. Free it with mimo_vl_cancel_free, before or after the session.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_session_cancel_handle(const struct mimo_vl_session *session,
                                             struct mimo_vl_cancel **cancel_out,
                                             struct mimo_vl_error **error_out);

/**
 * Free the session; NULL is ignored. A stream that is still open goes on and keeps what it needs.
 */
void mimo_vl_session_free(struct mimo_vl_session *session);

/**
 * Wait for the next event and put its kind into `*kind_out` and its text into `*text_out`, which lives until the next
 * call with this stream. Texts are whole UTF-8 characters; together they are the answer. After
 * MIMO_VL_EVENT_KIND_END, whose text is empty, every further call gives it again.
 *
 * After an error the stream is good for mimo_vl_stream_free only, and the conversation is as it was before the
 * question. On failure `*kind_out` and `*text_out` are not changed.
 *
 * Errors: MIMO_VL_STATUS_CANCELLED, MIMO_VL_STATUS_OPTION for NULL arguments and for a stream that has failed before.
 */
mimo_vl_status mimo_vl_stream_next(struct mimo_vl_stream *stream,
                                   mimo_vl_event_kind *kind_out,
                                   struct mimo_vl_str *text_out,
                                   struct mimo_vl_error **error_out);

/**
 * End the answer where it is, and keep it in the conversation. Events that are there already can still be read; the
 * last is MIMO_VL_EVENT_KIND_END, and the answer's reason MIMO_VL_STOP_REASON_CANCELLED. Without effect after the end.
 *
 * Errors: MIMO_VL_STATUS_OPTION for a NULL stream and for one that has failed before.
 */
mimo_vl_status mimo_vl_stream_stop(struct mimo_vl_stream *stream,
                                   struct mimo_vl_error **error_out);

/**
 * Wait for the end of the answer, if it has not come yet, and give the whole of it. The session is free for the next
 * question afterwards, though the stream is still to be freed. Free the answer with mimo_vl_answer_free.
 *
 * Errors: as mimo_vl_stream_next, and MIMO_VL_STATUS_OPTION for a stream that was finished before.
 */
mimo_vl_status mimo_vl_stream_finish(struct mimo_vl_stream *stream,
                                     struct mimo_vl_answer **answer_out,
                                     struct mimo_vl_error **error_out);

/**
 * Free the stream; NULL is ignored. If its end has not been reached the answer is given up, and the conversation is as
 * it was before the question.
 */
void mimo_vl_stream_free(struct mimo_vl_stream *stream);

/**
 * Put the answer itself, without the thinking, into `*text_out`. It lives as long as the answer. Empty for a NULL
 * answer; nothing happens when `text_out` is NULL.
 */
void mimo_vl_answer_text(const struct mimo_vl_answer *answer,
                         struct mimo_vl_str *text_out);

/**
 * Whether the model has thought; if so, and unless `text_out` is NULL, put what it thought into `*text_out`, which
 * lives as long as the answer, and an empty text otherwise. False for a NULL answer.
 */
bool mimo_vl_answer_thinking(const struct mimo_vl_answer *answer,
                             struct mimo_vl_str *text_out);

/**
 * Why the answer ended; MIMO_VL_STOP_REASON_CANCELLED for NULL, which is no answer.
 */
mimo_vl_stop_reason mimo_vl_answer_stop_reason(const struct mimo_vl_answer *answer);

/**
 * Number of tokens of the answer, thinking included; 0 for NULL.
 */
size_t mimo_vl_answer_tokens(const struct mimo_vl_answer *answer);

/**
 * Number of tokens of the whole conversation before the answer, pictures included; 0 for NULL.
 */
size_t mimo_vl_answer_prompt_tokens(const struct mimo_vl_answer *answer);

/**
 * How long a part of the work took, in seconds; `stage` is one of mimo_vl_stage. NaN for NULL and for another number.
 */
double mimo_vl_answer_seconds(const struct mimo_vl_answer *answer,
                              int32_t stage);

/**
 * Tokens that the language model wrote per second of MIMO_VL_STAGE_DECODE, 0 when it wrote none; NaN for NULL.
 */
double mimo_vl_answer_decode_tokens_per_second(const struct mimo_vl_answer *answer);

/**
 * Free the answer and the texts read from it; NULL is ignored.
 */
void mimo_vl_answer_free(struct mimo_vl_answer *answer);

/**
 * Stop the answer that the session is giving, from any thread. The call that does the work ends with
 * MIMO_VL_STATUS_CANCELLED at its next check, and the session is as it was before the question. When the session is
 * not answering there is nothing to stop, and the next question is not affected.
 *
 * Threads: any number at a time. NULL is ignored.
 */
void mimo_vl_cancel_cancel(const struct mimo_vl_cancel *cancel);

/**
 * Free the handle, which stops nothing; NULL is ignored.
 */
void mimo_vl_cancel_free(struct mimo_vl_cancel *cancel);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MIMO_VL_H */
