/* MiMo-VL, the vision-language model, for C: load a model, open an image, generate an answer.
 *
 * Generated from mimo-vl-ffi by cbindgen; edit the comments there.
 *
 * These rules hold for every function:
 *
 * - Status. A function that can fail returns a mimo_vl_status and has a last parameter `error_out`, which may be NULL.
 *   On success `*error_out` becomes NULL; on failure it becomes an error object with the status and a message that
 *   names the cause, to be freed with mimo_vl_error_free. Other results behave alike: `*x_out` becomes the new object
 *   on success and NULL on failure. The documentation of a function lists under "Errors" what these rules do not.
 * - Ownership. An object returned through `x_out` or by a function named _new belongs to the caller, who frees it once
 *   with the free function of its type. Objects may be freed in any order: each keeps alive what it needs of others.
 *   Arguments are borrowed for the call, and copied where they are needed longer.
 * - NULL. A function that returns a mimo_vl_status refuses NULL for every argument that is not documented as optional:
 *   MIMO_VL_STATUS_OPTION, with the name of the argument. `user_data` may be NULL, and NULL with a length of 0 is an
 *   empty text or list. A function that reads a value accepts NULL: it returns 0, false, NaN, NULL or an empty text for
 *   a NULL object, unless its documentation states another value, and skips a result whose `x_out` is NULL. Free
 *   functions ignore NULL.
 * - Enums. Functions take a value of an enum as int32_t; a number that is not in the enum is MIMO_VL_STATUS_OPTION.
 * - Text in. Texts are UTF-8 with a length; names and paths are NUL-terminated UTF-8, on Unix paths may be any bytes.
 *   Text that is not UTF-8 is MIMO_VL_STATUS_OPTION.
 * - Text out. A mimo_vl_str borrows from the object it was read from and is valid as long as that object, unless the
 *   function states a shorter time. Its `data` is never NULL and is followed by a NUL byte that `len` does not count.
 * - Threads. An object may move between threads. Several threads may call functions that take it as `const` at the same
 *   time; all others need exclusive use. A session does one thing at a time: a second call meanwhile does no harm and
 *   returns MIMO_VL_STATUS_OPTION. No thread may use an object while it is freed.
 * - Cancellation. The options of loading, generating, decoding a video and rendering a PDF file have a
 *   mimo_vl_cancel_token, a time limit and a progress callback; a batch has a token. A cancel before the call, at its
 *   start or during it has the same effect: MIMO_VL_STATUS_CANCELLED. The token may be freed meanwhile; `user_data` of
 *   the callback must be valid until the calls, streams and batches with these options have ended.
 * - Panics never leave the library: a defect in it is MIMO_VL_STATUS_INTERNAL.
 */

#ifndef MIMO_VL_H
#define MIMO_VL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Version of the interface that this header describes, to be compared with mimo_vl_abi_version(). It grows with every
 * change, from the first release on, that breaks programs compiled before it.
 */
#define MIMO_VL_ABI_VERSION 1

/**
 * Return value of a callback: continue.
 */
#define MIMO_VL_CONTINUE 0

/**
 * Return value of an event callback: end the answer here and keep it. For a progress callback the same as
 * MIMO_VL_CANCEL.
 */
#define MIMO_VL_STOP 1

/**
 * Return value of a callback: cancel the call, which then returns MIMO_VL_STATUS_CANCELLED. Other numbers mean the
 * same.
 */
#define MIMO_VL_CANCEL 2

/**
 * Result of a call. The numbers are stable, and the same in Rust and Python.
 */
enum mimo_vl_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Success.
     */
    MIMO_VL_STATUS_OK = 0,
    /**
     * A file cannot be opened, read or written.
     */
    MIMO_VL_STATUS_IO = 1,
    /**
     * A folder or file is not a usable checkpoint or saved session.
     */
    MIMO_VL_STATUS_CHECKPOINT = 2,
    /**
     * A tensor of the checkpoint is missing, or has the wrong shape or type.
     */
    MIMO_VL_STATUS_TENSOR = 3,
    /**
     * An image, video or PDF file cannot be decoded or used.
     */
    MIMO_VL_STATUS_IMAGE = 4,
    /**
     * The prompt is empty or malformed.
     */
    MIMO_VL_STATUS_PROMPT = 5,
    /**
     * The conversation does not fit into the context.
     */
    MIMO_VL_STATUS_CONTEXT_TOO_LONG = 6,
    /**
     * An argument or option is invalid: NULL, not UTF-8, out of its range, or a session that is busy.
     */
    MIMO_VL_STATUS_OPTION = 7,
    /**
     * The device is unknown, not part of this build, or has no usable driver.
     */
    MIMO_VL_STATUS_DEVICE = 8,
    /**
     * The caller cancelled the call. The session is as before the call.
     */
    MIMO_VL_STATUS_CANCELLED = 9,
    /**
     * A defect of this library. The session that met it is unusable; the model is not affected.
     */
    MIMO_VL_STATUS_INTERNAL = 10,
    /**
     * Not enough free memory.
     */
    MIMO_VL_STATUS_MEMORY = 11,
    /**
     * The timeout of the call expired. The session is as before the call.
     */
    MIMO_VL_STATUS_TIMEOUT = 12,
    /**
     * The answer cannot be parsed as what was requested.
     */
    MIMO_VL_STATUS_ANSWER = 13,
    /**
     * A checkpoint cannot be downloaded from the model hub.
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
 * Stage of a call that reports its progress. More may be added.
 */
enum mimo_vl_stage
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Downloading a checkpoint from the hub, in bytes.
     */
    MIMO_VL_STAGE_DOWNLOAD = 0,
    /**
     * Loading weights, in bytes of the checkpoint's files.
     */
    MIMO_VL_STAGE_LOAD = 1,
    /**
     * Decoding a video, in frames, or rendering a PDF file, in pages.
     */
    MIMO_VL_STAGE_DECODE = 2,
    /**
     * Images and videos through the vision tower, in blocks. Starts again for images and videos that do not fit into
     * one pass.
     */
    MIMO_VL_STAGE_ENCODE = 3,
    /**
     * The new part of the conversation through the language model, in tokens.
     */
    MIMO_VL_STAGE_PREFILL = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_stage mimo_vl_stage;
#else
typedef int32_t mimo_vl_stage;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Reason for the end of an answer. More may be added.
 */
enum mimo_vl_stop_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The model emitted its end token.
     */
    MIMO_VL_STOP_REASON_END_OF_TEXT = 0,
    /**
     * The answer reached max_tokens.
     */
    MIMO_VL_STOP_REASON_MAX_TOKENS = 1,
    /**
     * The caller stopped the answer.
     */
    MIMO_VL_STOP_REASON_CANCELLED = 2,
    /**
     * The conversation reached the limit of the context.
     */
    MIMO_VL_STOP_REASON_CONTEXT_FULL = 3,
    /**
     * A stop sequence occurred.
     */
    MIMO_VL_STOP_REASON_STOP_SEQUENCE = 4,
    /**
     * The answer repeated itself; see mimo_vl_generate_options_set_loop_window.
     */
    MIMO_VL_STOP_REASON_LOOP = 5,
    /**
     * The timeout of the call expired.
     */
    MIMO_VL_STOP_REASON_TIMEOUT = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_stop_reason mimo_vl_stop_reason;
#else
typedef int32_t mimo_vl_stop_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Kind of an event. More may be added; skip those you do not know.
 */
enum mimo_vl_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * More text of the thinking.
     */
    MIMO_VL_EVENT_KIND_THINKING = 0,
    /**
     * More text of the answer.
     */
    MIMO_VL_EVENT_KIND_TEXT = 1,
    /**
     * End of the answer.
     */
    MIMO_VL_EVENT_KIND_END = 2,
    /**
     * A box or points that the answer has completed; see mimo_vl_stream_region and mimo_vl_batch_region.
     */
    MIMO_VL_EVENT_KIND_REGION = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_event_kind mimo_vl_event_kind;
#else
typedef int32_t mimo_vl_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Kind of a GUI action. More may be added.
 */
enum mimo_vl_action_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Click at the point, and type the text, if there is one.
     */
    MIMO_VL_ACTION_KIND_CLICK = 0,
    /**
     * Scroll in the direction of mimo_vl_action_direction.
     */
    MIMO_VL_ACTION_KIND_SCROLL = 1,
    /**
     * Type the text, after a click at the point, if there is one.
     */
    MIMO_VL_ACTION_KIND_INPUT = 2,
    /**
     * Drag from the point to the end point.
     */
    MIMO_VL_ACTION_KIND_DRAG = 3,
    /**
     * Start the application that the text names.
     */
    MIMO_VL_ACTION_KIND_OPEN = 4,
    /**
     * Press the keys together.
     */
    MIMO_VL_ACTION_KIND_PRESS = 5,
    /**
     * The task is finished; the text is its status.
     */
    MIMO_VL_ACTION_KIND_FINISHED = 6,
    /**
     * Press at the point for a long time.
     */
    MIMO_VL_ACTION_KIND_LONG_PRESS = 7,
    /**
     * Move the pointer to the point.
     */
    MIMO_VL_ACTION_KIND_HOVER = 8,
    /**
     * Select the entry that the text names.
     */
    MIMO_VL_ACTION_KIND_SELECT = 9,
    /**
     * Wait.
     */
    MIMO_VL_ACTION_KIND_WAIT = 10,
    /**
     * Switch to another running application, which the text names, if there is one.
     */
    MIMO_VL_ACTION_KIND_APP_SWITCH = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_action_kind mimo_vl_action_kind;
#else
typedef int32_t mimo_vl_action_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Coordinate frame of boxes and points. The origin of an image is its top left corner, with x to the right and y down.
 */
enum mimo_vl_frame
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Pixels of the caller's image, with the orientation applied and uncropped.
     */
    MIMO_VL_FRAME_PIXELS = 0,
    /**
     * Pixels divided by the size of the image: 0 to 1.
     */
    MIMO_VL_FRAME_NORMALIZED = 1,
    /**
     * Pixels of the resized image that the model sees, as the answer has them.
     */
    MIMO_VL_FRAME_MODEL = 2,
    /**
     * Points of the PDF page that the image shows, with y upwards; a box has the smaller values first.
     */
    MIMO_VL_FRAME_PAGE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_frame mimo_vl_frame;
#else
typedef int32_t mimo_vl_frame;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Kind of a grammar that constrains the answer.
 */
enum mimo_vl_grammar_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * No constraint.
     */
    MIMO_VL_GRAMMAR_KIND_NONE = 0,
    /**
     * A JSON value valid under the JSON schema in the text.
     */
    MIMO_VL_GRAMMAR_KIND_JSON_SCHEMA = 1,
    /**
     * A string that the regular expression in the text matches completely.
     */
    MIMO_VL_GRAMMAR_KIND_REGEX = 2,
    /**
     * A string of the Lark grammar in the text.
     */
    MIMO_VL_GRAMMAR_KIND_LARK = 3,
    /**
     * One of the lines of the text.
     */
    MIMO_VL_GRAMMAR_KIND_CHOICE = 4,
    /**
     * A JSON list of labelled boxes in the last image.
     */
    MIMO_VL_GRAMMAR_KIND_BOXES = 5,
    /**
     * A JSON list of labelled points in the last image.
     */
    MIMO_VL_GRAMMAR_KIND_POINTS = 6,
    /**
     * One GUI action on the last image; see mimo_vl_generate_options_set_task for a smaller action space.
     */
    MIMO_VL_GRAMMAR_KIND_ACTION = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_grammar_kind mimo_vl_grammar_kind;
#else
typedef int32_t mimo_vl_grammar_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Number format of the KV cache.
 */
enum mimo_vl_kv_cache_dtype
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * 32-bit floats.
     */
    MIMO_VL_KV_CACHE_DTYPE_F32 = 0,
    /**
     * 16-bit floats of IEEE 754.
     */
    MIMO_VL_KV_CACHE_DTYPE_F16 = 1,
    /**
     * Quantized to 8 bits.
     */
    MIMO_VL_KV_CACHE_DTYPE_INT8 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_kv_cache_dtype mimo_vl_kv_cache_dtype;
#else
typedef int32_t mimo_vl_kv_cache_dtype;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Severity of a log message.
 */
enum mimo_vl_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * No messages.
     */
    MIMO_VL_LOG_LEVEL_OFF = 0,
    /**
     * Failures.
     */
    MIMO_VL_LOG_LEVEL_ERROR = 1,
    /**
     * Possible problems.
     */
    MIMO_VL_LOG_LEVEL_WARN = 2,
    /**
     * Events that users of a program may want to know.
     */
    MIMO_VL_LOG_LEVEL_INFO = 3,
    /**
     * Details for developers: sizes and times of every answer.
     */
    MIMO_VL_LOG_LEVEL_DEBUG = 4,
    /**
     * Everything, every token included.
     */
    MIMO_VL_LOG_LEVEL_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_log_level mimo_vl_log_level;
#else
typedef int32_t mimo_vl_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Use of memory.
 */
enum mimo_vl_memory
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Weights of the model.
     */
    MIMO_VL_MEMORY_WEIGHTS = 0,
    /**
     * KV cache, as allocated.
     */
    MIMO_VL_MEMORY_CACHE = 1,
    /**
     * Pixels of the conversation's images and videos.
     */
    MIMO_VL_MEMORY_PIXELS = 2,
    /**
     * Features of the conversation's images and videos.
     */
    MIMO_VL_MEMORY_FEATURES = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_memory mimo_vl_memory;
#else
typedef int32_t mimo_vl_memory;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Byte order of a pixel.
 */
enum mimo_vl_pixel_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * 3 bytes: red, green, blue.
     */
    MIMO_VL_PIXEL_FORMAT_RGB = 0,
    /**
     * 3 bytes: blue, green, red.
     */
    MIMO_VL_PIXEL_FORMAT_BGR = 1,
    /**
     * 4 bytes: red, green, blue, alpha; blended with white.
     */
    MIMO_VL_PIXEL_FORMAT_RGBA = 2,
    /**
     * 4 bytes: blue, green, red, alpha; blended with white.
     */
    MIMO_VL_PIXEL_FORMAT_BGRA = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_pixel_format mimo_vl_pixel_format;
#else
typedef int32_t mimo_vl_pixel_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Role of a message.
 */
enum mimo_vl_role
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Instructions for the complete conversation.
     */
    MIMO_VL_ROLE_SYSTEM = 0,
    /**
     * The user.
     */
    MIMO_VL_ROLE_USER = 1,
    /**
     * The model.
     */
    MIMO_VL_ROLE_ASSISTANT = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_role mimo_vl_role;
#else
typedef int32_t mimo_vl_role;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Thinking before the answer.
 */
enum mimo_vl_thinking
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Left to the model.
     */
    MIMO_VL_THINKING_AUTO = 0,
    /**
     * On, which is the model's own default.
     */
    MIMO_VL_THINKING_ON = 1,
    /**
     * Off: the model answers at once.
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
 * Way in which a prompt tells the model to think or not.
 */
enum mimo_vl_thinking_style
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * ` /no_think` at the end of the prompt: the models of August 2025 (RL-2508, SFT-2508).
     */
    MIMO_VL_THINKING_STYLE_SLASH = 0,
    /**
     * `<no_think>` on a line of its own at the end: earlier models.
     */
    MIMO_VL_THINKING_STYLE_TAG = 1,
    /**
     * An empty thinking block at the start of the answer: any model.
     */
    MIMO_VL_THINKING_STYLE_PREFILL = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_thinking_style mimo_vl_thinking_style;
#else
typedef int32_t mimo_vl_thinking_style;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Part of the work for an answer, for its times.
 */
enum mimo_vl_timing
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Loading the checkpoint, once for all sessions of a model.
     */
    MIMO_VL_TIMING_LOAD = 0,
    /**
     * Resizing images and cutting them into patches.
     */
    MIMO_VL_TIMING_PREPROCESS = 1,
    /**
     * The vision tower.
     */
    MIMO_VL_TIMING_ENCODE = 2,
    /**
     * The language model, for the new tokens of the conversation.
     */
    MIMO_VL_TIMING_PREFILL = 3,
    /**
     * The language model, for the tokens of the answer.
     */
    MIMO_VL_TIMING_DECODE = 4,
    /**
     * Sampling the tokens of the answer.
     */
    MIMO_VL_TIMING_SAMPLING = 5,
    /**
     * Reading and decoding the prompt's images, videos and pages, before the call.
     */
    MIMO_VL_TIMING_MEDIA = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_timing mimo_vl_timing;
#else
typedef int32_t mimo_vl_timing;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Number format of the weights.
 */
enum mimo_vl_weight_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * As stored in the checkpoint.
     */
    MIMO_VL_WEIGHT_FORMAT_NATIVE = 0,
    /**
     * 32-bit floats.
     */
    MIMO_VL_WEIGHT_FORMAT_F32 = 1,
    /**
     * 16-bit floats of IEEE 754.
     */
    MIMO_VL_WEIGHT_FORMAT_F16 = 2,
    /**
     * bfloat16.
     */
    MIMO_VL_WEIGHT_FORMAT_BF16 = 3,
    /**
     * Quantized to 8 bits.
     */
    MIMO_VL_WEIGHT_FORMAT_INT8 = 4,
    /**
     * Quantized to 4 bits, the more sensitive weights to 8.
     */
    MIMO_VL_WEIGHT_FORMAT_INT4 = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mimo_vl_weight_format mimo_vl_weight_format;
#else
typedef int32_t mimo_vl_weight_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * GUI action on a screen.
 */
typedef struct mimo_vl_action mimo_vl_action;

/**
 * Complete answer.
 */
typedef struct mimo_vl_answer mimo_vl_answer;

/**
 * Several prompts that are answered at the same time, each in a conversation of its own.
 */
typedef struct mimo_vl_batch mimo_vl_batch;

/**
 * Token that cancels the calls whose options have it. One token may be in several options.
 */
typedef struct mimo_vl_cancel_token mimo_vl_cancel_token;

/**
 * Error of a failed call: its status and a message.
 */
typedef struct mimo_vl_error mimo_vl_error;

/**
 * Image features: the output of the vision tower and the projector, one row of floats per token.
 */
typedef struct mimo_vl_features mimo_vl_features;

/**
 * Options of generating an answer. Their values are checked by the functions that generate one.
 */
typedef struct mimo_vl_generate_options mimo_vl_generate_options;

/**
 * Decoded image. A prompt that it is added to keeps what it needs of it.
 */
typedef struct mimo_vl_image mimo_vl_image;

/**
 * Options of loading a model. Their values are checked by the functions that load one.
 */
typedef struct mimo_vl_load_options mimo_vl_load_options;

/**
 * Loaded checkpoint, from which sessions and batches are made.
 */
typedef struct mimo_vl_model mimo_vl_model;

/**
 * Rendered pages of a PDF file.
 */
typedef struct mimo_vl_pdf mimo_vl_pdf;

/**
 * Options of rendering a PDF file: which pages, and their size. Their values are checked by mimo_vl_pdf_from_path.
 */
typedef struct mimo_vl_pdf_options mimo_vl_pdf_options;

/**
 * Tokens and memory that a prompt and its answer take.
 */
typedef struct mimo_vl_plan mimo_vl_plan;

/**
 * Messages that one call adds to the conversation: texts, images and videos in the order of adding. A prompt can be
 * used any number of times.
 */
typedef struct mimo_vl_prompt mimo_vl_prompt;

/**
 * Box or points in an image, with a label.
 */
typedef struct mimo_vl_region mimo_vl_region;

/**
 * Conversation with a model: earlier messages, and their KV cache.
 */
typedef struct mimo_vl_session mimo_vl_session;

/**
 * Answer that is being generated.
 */
typedef struct mimo_vl_stream mimo_vl_stream;

/**
 * Task of a GUI agent: its goal, and the steps taken so far.
 */
typedef struct mimo_vl_task mimo_vl_task;

/**
 * Frames of a video. A prompt that it is added to keeps what it needs of it.
 */
typedef struct mimo_vl_video mimo_vl_video;

/**
 * Options of decoding a video file: which frames, and their size. Their values are checked by mimo_vl_video_from_path.
 */
typedef struct mimo_vl_video_options mimo_vl_video_options;

/**
 * Borrowed UTF-8 text. It lives as long as the handle it was read from, unless the function states a shorter time.
 */
typedef struct mimo_vl_str {
    /**
     * First byte; never NULL. A NUL byte follows the last byte; the text itself may contain NULs.
     */
    const char *data;
    /**
     * Length in bytes, without the final NUL.
     */
    size_t len;
} mimo_vl_str;

/**
 * Receives a log message; `level` is a mimo_vl_log_level, and `message` is valid during the call only. Called on any
 * thread, also on several at a time; it must not unwind and must not call functions of this library.
 */
typedef void (*mimo_vl_log_callback)(void *user_data, int32_t level, struct mimo_vl_str message);

/**
 * Receives the progress of a call: `done` of `total` units of a stage, which names the unit. Returns MIMO_VL_CONTINUE
 * or MIMO_VL_CANCEL, which cancels this call alone. Called on the thread of the call; it must return soon and must not
 * unwind.
 */
typedef int32_t (*mimo_vl_progress_callback)(void *user_data,
                                             mimo_vl_stage stage,
                                             uint64_t done,
                                             uint64_t total);

/**
 * Called once when the library no longer needs memory of the caller. Called on any thread; it must not unwind and must
 * not call functions of this library.
 */
typedef void (*mimo_vl_release_callback)(void *user_data);

/**
 * Receives an event of an answer: its text, and the region of a MIMO_VL_EVENT_KIND_REGION, otherwise NULL. Both are
 * valid during the call only. Returns MIMO_VL_CONTINUE, MIMO_VL_STOP or MIMO_VL_CANCEL. Called on the thread of the
 * call; it must not unwind.
 */
typedef int32_t (*mimo_vl_event_callback)(void *user_data,
                                          mimo_vl_event_kind kind,
                                          struct mimo_vl_str text,
                                          const struct mimo_vl_region *region);

/**
 * Monitor: the position of its screenshot on the desktop. Desktop units are those in which an operating system
 * positions windows and pointers; one of them covers `scale` pixels of the monitor.
 */
typedef struct mimo_vl_screen {
    /**
     * Left edge in desktop units.
     */
    double left;
    /**
     * Top edge in desktop units.
     */
    double top;
    /**
     * Width of the screenshot in pixels.
     */
    uint32_t width;
    /**
     * Height of the screenshot in pixels.
     */
    uint32_t height;
    /**
     * Pixels per desktop unit: 1, or 1.25, 1.5, 2 and the like on high-density monitors.
     */
    double scale;
} mimo_vl_screen;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the interface version of the loaded library; it must equal MIMO_VL_ABI_VERSION.
 *
 * Threads: any.
 */
uint32_t mimo_vl_abi_version(void);

/**
 * Returns the version of the library, such as "0.1.0": NUL-terminated, valid for the life of the process.
 *
 * Threads: any.
 */
const char *mimo_vl_version(void);

/**
 * Returns the devices that this build supports, separated by spaces, such as "cpu cuda:0": NUL-terminated, valid for
 * the life of the process. Loading a model fails if the device is not present.
 *
 * Threads: any.
 */
const char *mimo_vl_devices(void);

/**
 * Returns the status of the failed call; MIMO_VL_STATUS_OK for NULL.
 */
mimo_vl_status mimo_vl_error_code(const struct mimo_vl_error *error);

/**
 * Writes the message to `*message_out`: one line that names the file, tensor, image or argument at fault, and the
 * remedy.
 */
void mimo_vl_error_message(const struct mimo_vl_error *error,
                           struct mimo_vl_str *message_out);

/**
 * Frees an error.
 */
void mimo_vl_error_free(struct mimo_vl_error *error);

/**
 * Sends log messages of `level` and above, a mimo_vl_log_level, to `callback` with `user_data`. It replaces the
 * callback before, which is not running any more when this function returns. A NULL callback or MIMO_VL_LOG_LEVEL_OFF
 * ends the log.
 *
 * Errors: MIMO_VL_STATUS_OPTION if the process has another `tracing` subscriber.
 *
 * Threads: any.
 */
mimo_vl_status mimo_vl_set_log_callback(int32_t level,
                                        mimo_vl_log_callback callback,
                                        void *user_data,
                                        struct mimo_vl_error **error_out);

/**
 * Makes options with the default of each. Free them with mimo_vl_load_options_free.
 */
struct mimo_vl_load_options *mimo_vl_load_options_new(void);

/**
 * Sets the device by name: "cpu", "ndarray" or "cuda:0"; default "cpu".
 */
mimo_vl_status mimo_vl_load_options_set_device(struct mimo_vl_load_options *options,
                                               const char *device,
                                               struct mimo_vl_error **error_out);

/**
 * Sets the number format of the weights, a mimo_vl_weight_format; default MIMO_VL_WEIGHT_FORMAT_NATIVE.
 */
mimo_vl_status mimo_vl_load_options_set_weights(struct mimo_vl_load_options *options,
                                                int32_t weights,
                                                struct mimo_vl_error **error_out);

/**
 * Sets the number format of the KV cache, a mimo_vl_kv_cache_dtype. Default: MIMO_VL_KV_CACHE_DTYPE_F16 for weights of
 * 4 or 8 bits, else MIMO_VL_KV_CACHE_DTYPE_F32.
 */
mimo_vl_status mimo_vl_load_options_set_kv_cache_dtype(struct mimo_vl_load_options *options,
                                                       int32_t kv_cache_dtype,
                                                       struct mimo_vl_error **error_out);

/**
 * Sets the number of CPU threads: 1 to 1,024; default one per physical core.
 */
mimo_vl_status mimo_vl_load_options_set_threads(struct mimo_vl_load_options *options,
                                                size_t threads,
                                                struct mimo_vl_error **error_out);

/**
 * Sets the length limit of a conversation, answers included, in tokens: 1 to the limit of the checkpoint; default the
 * smaller of that limit and 32,768.
 */
mimo_vl_status mimo_vl_load_options_set_max_context(struct mimo_vl_load_options *options,
                                                    size_t max_context,
                                                    struct mimo_vl_error **error_out);

/**
 * Sets the way in which prompts tell the model to think or not, a mimo_vl_thinking_style; default by the name of the
 * checkpoint's folder.
 */
mimo_vl_status mimo_vl_load_options_set_thinking_style(struct mimo_vl_load_options *options,
                                                       int32_t style,
                                                       struct mimo_vl_error **error_out);

/**
 * Sets the size limit in bytes of the cache of image and video features, which all sessions of the model share: 0 is
 * off; default 256 MiB. One token takes 16 KiB.
 */
mimo_vl_status mimo_vl_load_options_set_feature_cache(struct mimo_vl_load_options *options,
                                                      uint64_t bytes,
                                                      struct mimo_vl_error **error_out);

/**
 * Sets the branch, tag or commit of a model hub repository, a NUL-terminated string; default "main".
 */
mimo_vl_status mimo_vl_load_options_set_hub_revision(struct mimo_vl_load_options *options,
                                                     const char *revision,
                                                     struct mimo_vl_error **error_out);

/**
 * Sets the access token of the model hub, a NUL-terminated string; default as in docs/guide/hub.md.
 */
mimo_vl_status mimo_vl_load_options_set_hub_token(struct mimo_vl_load_options *options,
                                                  const char *token,
                                                  struct mimo_vl_error **error_out);

/**
 * Sets the URL of the model hub, a NUL-terminated string; default as in docs/guide/hub.md.
 */
mimo_vl_status mimo_vl_load_options_set_hub_endpoint(struct mimo_vl_load_options *options,
                                                     const char *endpoint,
                                                     struct mimo_vl_error **error_out);

/**
 * Sets the folder of downloaded files, a NUL-terminated path; default as in docs/guide/hub.md.
 */
mimo_vl_status mimo_vl_load_options_set_hub_cache_dir(struct mimo_vl_load_options *options,
                                                      const char *cache_dir,
                                                      struct mimo_vl_error **error_out);

/**
 * Sets whether only files that are in the cache are used, without any request to the model hub; default as in
 * docs/guide/hub.md.
 */
mimo_vl_status mimo_vl_load_options_set_hub_offline(struct mimo_vl_load_options *options,
                                                    bool offline,
                                                    struct mimo_vl_error **error_out);

/**
 * Sets the token that cancels the calls with these options; NULL removes it. Default none.
 */
mimo_vl_status mimo_vl_load_options_set_cancel(struct mimo_vl_load_options *options,
                                               const struct mimo_vl_cancel_token *token,
                                               struct mimo_vl_error **error_out);

/**
 * Sets the time limit of a call with these options in seconds; 0 or less is off, the default. A call that takes longer
 * fails with MIMO_VL_STATUS_TIMEOUT.
 */
mimo_vl_status mimo_vl_load_options_set_timeout(struct mimo_vl_load_options *options,
                                                double seconds,
                                                struct mimo_vl_error **error_out);

/**
 * Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
 * Default none. The stages are MIMO_VL_STAGE_DOWNLOAD and MIMO_VL_STAGE_LOAD.
 */
mimo_vl_status mimo_vl_load_options_set_progress(struct mimo_vl_load_options *options,
                                                 mimo_vl_progress_callback callback,
                                                 void *user_data,
                                                 struct mimo_vl_error **error_out);

/**
 * Frees the options. Models loaded with them are not affected.
 */
void mimo_vl_load_options_free(struct mimo_vl_load_options *options);

/**
 * Makes options with the default of each: greedy, at most 4096 tokens. Free them with mimo_vl_generate_options_free.
 */
struct mimo_vl_generate_options *mimo_vl_generate_options_new(void);

/**
 * Sets the length limit of the answer in tokens, thinking included: at least 1; default 4096.
 */
mimo_vl_status mimo_vl_generate_options_set_max_tokens(struct mimo_vl_generate_options *options,
                                                       size_t max_tokens,
                                                       struct mimo_vl_error **error_out);

/**
 * Sets the length limit of the conversation with the answer in tokens, below that of the model: at least 1. SIZE_MAX
 * is that of the model, the default.
 */
mimo_vl_status mimo_vl_generate_options_set_max_context(struct mimo_vl_generate_options *options,
                                                        size_t max_context,
                                                        struct mimo_vl_error **error_out);

/**
 * Sets the divisor of positive logits, and factor of negative ones, of tokens that occurred before (arXiv 1909.05858):
 * above 0; 1 is off; default 1.
 */
mimo_vl_status mimo_vl_generate_options_set_repetition_penalty(struct mimo_vl_generate_options *options,
                                                               float repetition_penalty,
                                                               struct mimo_vl_error **error_out);

/**
 * Sets the number subtracted from a token's logit per occurrence in the answer: -2 to 2; 0 is off; default 0.
 */
mimo_vl_status mimo_vl_generate_options_set_frequency_penalty(struct mimo_vl_generate_options *options,
                                                              float frequency_penalty,
                                                              struct mimo_vl_error **error_out);

/**
 * Sets the number subtracted from the logit of tokens that occurred in the answer: -2 to 2; 0 is off; default 0.
 */
mimo_vl_status mimo_vl_generate_options_set_presence_penalty(struct mimo_vl_generate_options *options,
                                                             float presence_penalty,
                                                             struct mimo_vl_error **error_out);

/**
 * Adds a bias to the logit of a token: any number below infinity; negative infinity forbids the token. Default: none.
 */
mimo_vl_status mimo_vl_generate_options_add_logit_bias(struct mimo_vl_generate_options *options,
                                                       uint32_t token_id,
                                                       float bias,
                                                       struct mimo_vl_error **error_out);

/**
 * Sets the divisor of the logits: at least 0; 0 is greedy, always the most likely token; default 0.
 */
mimo_vl_status mimo_vl_generate_options_set_temperature(struct mimo_vl_generate_options *options,
                                                        float temperature,
                                                        struct mimo_vl_error **error_out);

/**
 * Sets the number of most likely tokens to sample from: at least 0; 0 is off; default 0.
 */
mimo_vl_status mimo_vl_generate_options_set_top_k(struct mimo_vl_generate_options *options,
                                                  size_t top_k,
                                                  struct mimo_vl_error **error_out);

/**
 * Sets the probability mass of the most likely tokens to sample from (nucleus sampling, arXiv 1904.09751): 0 to 1; 1
 * is off; default 1.
 */
mimo_vl_status mimo_vl_generate_options_set_top_p(struct mimo_vl_generate_options *options,
                                                  float top_p,
                                                  struct mimo_vl_error **error_out);

/**
 * Sets the smallest probability of a sampled token, relative to the most likely one (arXiv 2407.01082): 0 to 1; 0 is
 * off; default 0.
 */
mimo_vl_status mimo_vl_generate_options_set_min_p(struct mimo_vl_generate_options *options,
                                                  float min_p,
                                                  struct mimo_vl_error **error_out);

/**
 * Sets the probability mass of the most typical tokens to sample from (arXiv 2202.00666): above 0, at most 1; 1 is
 * off; default 1.
 */
mimo_vl_status mimo_vl_generate_options_set_typical_p(struct mimo_vl_generate_options *options,
                                                      float typical_p,
                                                      struct mimo_vl_error **error_out);

/**
 * Sets the seed of the random numbers: any; default 0. The same seed gives the same answer.
 */
mimo_vl_status mimo_vl_generate_options_set_seed(struct mimo_vl_generate_options *options,
                                                 uint64_t seed,
                                                 struct mimo_vl_error **error_out);

/**
 * Sets the limit of draft tokens per step, which prompt lookup takes from the text so far and one pass verifies: 0 to
 * 7; 0 is off. Default, and for SIZE_MAX: 7 for greedy decoding on the CPU, else 0. On the CPU the answer does
 * not change.
 */
mimo_vl_status mimo_vl_generate_options_set_num_draft_tokens(struct mimo_vl_generate_options *options,
                                                             size_t num_draft_tokens,
                                                             struct mimo_vl_error **error_out);

/**
 * Adds a stop sequence, `len` bytes of UTF-8 at `text`: not empty. The answer ends before its first occurrence;
 * thinking is not searched. Default: none.
 */
mimo_vl_status mimo_vl_generate_options_add_stop(struct mimo_vl_generate_options *options,
                                                 const char *text,
                                                 size_t len,
                                                 struct mimo_vl_error **error_out);

/**
 * Sets the grammar of the answer: `kind`, a mimo_vl_grammar_kind, and `len` bytes of UTF-8 at `text`, whose meaning
 * depends on the kind. Default MIMO_VL_GRAMMAR_KIND_NONE. The text is parsed by the functions that generate an answer.
 */
mimo_vl_status mimo_vl_generate_options_set_grammar(struct mimo_vl_generate_options *options,
                                                    int32_t kind,
                                                    const char *text,
                                                    size_t len,
                                                    struct mimo_vl_error **error_out);

/**
 * Sets the number of last tokens in which a run repeated three times or more ends the answer with
 * MIMO_VL_STOP_REASON_LOOP: at least 16; 0 is off; default 0.
 */
mimo_vl_status mimo_vl_generate_options_set_loop_window(struct mimo_vl_generate_options *options,
                                                        size_t loop_window,
                                                        struct mimo_vl_error **error_out);

/**
 * Sets the number of most likely alternatives per token in the answer's logprobs: 0 to 100; 0 gives the logprob of
 * each token alone. SIZE_MAX is off, the default. Logprobs are also the source of every confidence.
 */
mimo_vl_status mimo_vl_generate_options_set_logprobs(struct mimo_vl_generate_options *options,
                                                     size_t logprobs,
                                                     struct mimo_vl_error **error_out);

/**
 * Sets the time limit of the call in seconds; 0 or less is off, the default. An answer that has begun ends with
 * MIMO_VL_STOP_REASON_TIMEOUT; before that the call fails with MIMO_VL_STATUS_TIMEOUT.
 */
mimo_vl_status mimo_vl_generate_options_set_timeout(struct mimo_vl_generate_options *options,
                                                    double seconds,
                                                    struct mimo_vl_error **error_out);

/**
 * Sets the number of answers to generate, of which the one with the highest mean logprob is returned: at least 1;
 * default 1. More than 1 needs a temperature above 0. Streams and batches generate one, and refuse more.
 */
mimo_vl_status mimo_vl_generate_options_set_best_of(struct mimo_vl_generate_options *options,
                                                    size_t best_of,
                                                    struct mimo_vl_error **error_out);

/**
 * Sets the length limit of the thinking in tokens, after which the answer follows: at least 0. SIZE_MAX is off,
 * the default.
 */
mimo_vl_status mimo_vl_generate_options_set_thinking_budget(struct mimo_vl_generate_options *options,
                                                            size_t thinking_budget,
                                                            struct mimo_vl_error **error_out);

/**
 * Sets whether the thinking stays in the conversation: true or false; default false.
 */
mimo_vl_status mimo_vl_generate_options_set_keep_thinking(struct mimo_vl_generate_options *options,
                                                          bool keep_thinking,
                                                          struct mimo_vl_error **error_out);

/**
 * Sets whether lists of four numbers are boxes anywhere in the answer, else only where the answer or a fenced block
 * begins with them: true or false; default false.
 */
mimo_vl_status mimo_vl_generate_options_set_prose_regions(struct mimo_vl_generate_options *options,
                                                          bool prose_regions,
                                                          struct mimo_vl_error **error_out);

/**
 * Sets the token that cancels the calls with these options; NULL removes it. Default none.
 */
mimo_vl_status mimo_vl_generate_options_set_cancel(struct mimo_vl_generate_options *options,
                                                   const struct mimo_vl_cancel_token *token,
                                                   struct mimo_vl_error **error_out);

/**
 * Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
 * Default none. The stages are MIMO_VL_STAGE_ENCODE and MIMO_VL_STAGE_PREFILL.
 */
mimo_vl_status mimo_vl_generate_options_set_progress(struct mimo_vl_generate_options *options,
                                                     mimo_vl_progress_callback callback,
                                                     void *user_data,
                                                     struct mimo_vl_error **error_out);

/**
 * Frees the options.
 */
void mimo_vl_generate_options_free(struct mimo_vl_generate_options *options);

/**
 * Opens an image file: PNG, JPEG, GIF, WebP, BMP or TIFF. The EXIF orientation is applied, and transparent pixels are
 * blended with white. Free the image with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_IMAGE if it is not an image, damaged, truncated
 * or too large.
 */
mimo_vl_status mimo_vl_image_from_path(const char *path,
                                       struct mimo_vl_image **image_out,
                                       struct mimo_vl_error **error_out);

/**
 * Decodes an image file in memory, `len` bytes at `data`; otherwise like mimo_vl_image_from_path.
 *
 * Errors: MIMO_VL_STATUS_IMAGE if it is not an image, damaged, truncated or too large.
 */
mimo_vl_status mimo_vl_image_from_bytes(const uint8_t *data,
                                        size_t len,
                                        struct mimo_vl_image **image_out,
                                        struct mimo_vl_error **error_out);

/**
 * Copies RGB pixels: rows from the top, 3 bytes per pixel. `stride` is the distance between the starts of two rows in
 * bytes, at least 3 * width; `len` is the number of bytes at `pixels`, at least stride * (height - 1) + 3 * width.
 * Free the image with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE if a side is 0 or too large, or if `stride` or `len` is too small.
 */
mimo_vl_status mimo_vl_image_from_rgb(uint32_t width,
                                      uint32_t height,
                                      size_t stride,
                                      const uint8_t *pixels,
                                      size_t len,
                                      struct mimo_vl_image **image_out,
                                      struct mimo_vl_error **error_out);

/**
 * Copies pixels of `format`, a mimo_vl_pixel_format; otherwise like mimo_vl_image_from_rgb, with the format's number
 * of bytes per pixel.
 *
 * Errors: those of mimo_vl_image_from_rgb.
 */
mimo_vl_status mimo_vl_image_from_pixels(int32_t format,
                                         uint32_t width,
                                         uint32_t height,
                                         size_t stride,
                                         const uint8_t *pixels,
                                         size_t len,
                                         struct mimo_vl_image **image_out,
                                         struct mimo_vl_error **error_out);

/**
 * Makes an image of RGB pixels without copying them: rows from the top, 3 bytes per pixel, no padding; `len` is 3 *
 * width * height. The memory at `pixels` must not change until `release` is called with `user_data`, once, when the
 * image and all prompts and sessions that use it are gone. If this function fails, `release` is not called. Free the
 * image with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE if a side is 0 or too large, or `len` does not fit; MIMO_VL_STATUS_OPTION if `len` is
 * 0. `user_data` may be NULL.
 */
mimo_vl_status mimo_vl_image_from_borrowed_rgb(uint32_t width,
                                               uint32_t height,
                                               const uint8_t *pixels,
                                               size_t len,
                                               mimo_vl_release_callback release,
                                               void *user_data,
                                               struct mimo_vl_image **image_out,
                                               struct mimo_vl_error **error_out);

/**
 * Crops an image to the rectangle at `(left, top)`. Boxes and points of answers stay in pixels of the uncropped image.
 * Free the crop with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE if the rectangle is empty or not inside the image.
 */
mimo_vl_status mimo_vl_image_crop(const struct mimo_vl_image *image,
                                  uint32_t left,
                                  uint32_t top,
                                  uint32_t width,
                                  uint32_t height,
                                  struct mimo_vl_image **image_out,
                                  struct mimo_vl_error **error_out);

/**
 * Writes the image to a PNG file.
 *
 * Errors: MIMO_VL_STATUS_IO if the file cannot be written.
 */
mimo_vl_status mimo_vl_image_write_png(const struct mimo_vl_image *image,
                                       const char *path,
                                       struct mimo_vl_error **error_out);

/**
 * Returns the RGB pixels: rows from the top, 3 bytes per pixel, no padding. They are valid as long as the image, and
 * until one of its limits is set.
 */
const uint8_t *mimo_vl_image_pixels(const struct mimo_vl_image *image);

/**
 * Sets the number of pixels that the image is enlarged to, if it has fewer, for prompts that it is added to later.
 */
mimo_vl_status mimo_vl_image_set_min_pixels(struct mimo_vl_image *image,
                                            uint32_t min_pixels,
                                            struct mimo_vl_error **error_out);

/**
 * Sets the number of pixels that the image is reduced to, if it has more, for prompts that it is added to later. One
 * token takes 784 pixels.
 */
mimo_vl_status mimo_vl_image_set_max_pixels(struct mimo_vl_image *image,
                                            uint32_t max_pixels,
                                            struct mimo_vl_error **error_out);

/**
 * Returns the width in pixels, with the orientation applied.
 */
uint32_t mimo_vl_image_width(const struct mimo_vl_image *image);

/**
 * Returns the height in pixels, with the orientation applied.
 */
uint32_t mimo_vl_image_height(const struct mimo_vl_image *image);

/**
 * Frees the image.
 */
void mimo_vl_image_free(struct mimo_vl_image *image);

/**
 * Makes options with the default of each: 2 frames per second of the complete video, at least 4 and at most 768. Free
 * them with mimo_vl_video_options_free.
 */
struct mimo_vl_video_options *mimo_vl_video_options_new(void);

/**
 * Sets the number of frames sampled per second: above 0; default 2.
 */
mimo_vl_status mimo_vl_video_options_set_fps(struct mimo_vl_video_options *options,
                                             double fps,
                                             struct mimo_vl_error **error_out);

/**
 * Sets the number of sampled frames, in place of a rate; it is rounded to an even number.
 */
mimo_vl_status mimo_vl_video_options_set_frames(struct mimo_vl_video_options *options,
                                                size_t frames,
                                                struct mimo_vl_error **error_out);

/**
 * Sets the smallest and largest number of sampled frames; default 4 and 768.
 */
mimo_vl_status mimo_vl_video_options_set_frame_limits(struct mimo_vl_video_options *options,
                                                      size_t min_frames,
                                                      size_t max_frames,
                                                      struct mimo_vl_error **error_out);

/**
 * Sets the part of the video that is sampled, from `start` to `end` in seconds; default the complete video.
 */
mimo_vl_status mimo_vl_video_options_set_span(struct mimo_vl_video_options *options,
                                              double start,
                                              double end,
                                              struct mimo_vl_error **error_out);

/**
 * Sets the largest number of pixels of all frames together.
 */
mimo_vl_status mimo_vl_video_options_set_total_pixels(struct mimo_vl_video_options *options,
                                                      uint64_t total_pixels,
                                                      struct mimo_vl_error **error_out);

/**
 * Sets the largest number of pixels of a frame.
 */
mimo_vl_status mimo_vl_video_options_set_max_pixels(struct mimo_vl_video_options *options,
                                                    uint32_t max_pixels,
                                                    struct mimo_vl_error **error_out);

/**
 * Sets the largest share of the sampled frames that may be missing or damaged: 0 to 1; default 0.2. The nearest frame
 * that can be decoded stands in for each.
 */
mimo_vl_status mimo_vl_video_options_set_max_missing_frames(struct mimo_vl_video_options *options,
                                                            double share,
                                                            struct mimo_vl_error **error_out);

/**
 * Sets the token that cancels the calls with these options; NULL removes it. Default none.
 */
mimo_vl_status mimo_vl_video_options_set_cancel(struct mimo_vl_video_options *options,
                                                const struct mimo_vl_cancel_token *token,
                                                struct mimo_vl_error **error_out);

/**
 * Sets the time limit of a call with these options in seconds; 0 or less is off, the default. A call that takes longer
 * fails with MIMO_VL_STATUS_TIMEOUT.
 */
mimo_vl_status mimo_vl_video_options_set_timeout(struct mimo_vl_video_options *options,
                                                 double seconds,
                                                 struct mimo_vl_error **error_out);

/**
 * Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
 * Default none. The stage is MIMO_VL_STAGE_DECODE.
 */
mimo_vl_status mimo_vl_video_options_set_progress(struct mimo_vl_video_options *options,
                                                  mimo_vl_progress_callback callback,
                                                  void *user_data,
                                                  struct mimo_vl_error **error_out);

/**
 * Frees the options.
 */
void mimo_vl_video_options_free(struct mimo_vl_video_options *options);

/**
 * Decodes frames of a video file with the programs ffprobe and ffmpeg, which must be installed. `options` may be NULL
 * for the defaults. Free the video with mimo_vl_video_free.
 *
 * Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_IMAGE if it is not a video, or lacks too many
 * of the sampled frames, and if a program is missing; MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT;
 * MIMO_VL_STATUS_OPTION for options out of range.
 */
mimo_vl_status mimo_vl_video_from_path(const char *path,
                                       const struct mimo_vl_video_options *options,
                                       struct mimo_vl_video **video_out,
                                       struct mimo_vl_error **error_out);

/**
 * Makes a video of `count` images at `frames`, all of one size, shown at `fps` frames per second. The images may be
 * freed afterwards. Free the video with mimo_vl_video_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE if there is no frame or their sizes differ; MIMO_VL_STATUS_OPTION if `fps` is not above
 * 0 or a frame is NULL.
 */
mimo_vl_status mimo_vl_video_from_frames(const struct mimo_vl_image *const *frames,
                                         size_t count,
                                         double fps,
                                         struct mimo_vl_video **video_out,
                                         struct mimo_vl_error **error_out);

/**
 * Sets the number of pixels that each frame is reduced to, if it has more, for prompts that the video is added to
 * later.
 */
mimo_vl_status mimo_vl_video_set_max_pixels(struct mimo_vl_video *video,
                                            uint32_t max_pixels,
                                            struct mimo_vl_error **error_out);

/**
 * Returns the number of frames.
 */
size_t mimo_vl_video_frame_count(const struct mimo_vl_video *video);

/**
 * Returns the number of frames per second.
 */
double mimo_vl_video_fps(const struct mimo_vl_video *video);

/**
 * Returns the number of frames that stand in for one of the file that is missing or damaged.
 */
size_t mimo_vl_video_replaced_frames(const struct mimo_vl_video *video);

/**
 * Returns the time of frame `index`, counted from 0, in seconds; NaN if there is no such frame.
 */
double mimo_vl_video_timestamp(const struct mimo_vl_video *video, size_t index);

/**
 * Makes an image of frame `index`, counted from 0; it shares the pixels. Free it with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION if there is no such frame.
 */
mimo_vl_status mimo_vl_video_frame(const struct mimo_vl_video *video,
                                   size_t index,
                                   struct mimo_vl_image **image_out,
                                   struct mimo_vl_error **error_out);

/**
 * Frees the video.
 */
void mimo_vl_video_free(struct mimo_vl_video *video);

/**
 * Makes options with the default of each: all pages, at most 64, at 144 dots per inch. Free them with
 * mimo_vl_pdf_options_free.
 */
struct mimo_vl_pdf_options *mimo_vl_pdf_options_new(void);

/**
 * Sets the pages to render, `first` to `last`, counted from 1; SIZE_MAX is the last page of the file. Default: all.
 */
mimo_vl_status mimo_vl_pdf_options_set_pages(struct mimo_vl_pdf_options *options,
                                             size_t first,
                                             size_t last,
                                             struct mimo_vl_error **error_out);

/**
 * Sets the resolution in pixels per inch; default 144.
 */
mimo_vl_status mimo_vl_pdf_options_set_dpi(struct mimo_vl_pdf_options *options,
                                           float dpi,
                                           struct mimo_vl_error **error_out);

/**
 * Sets the largest number of pixels of a page; a larger page is rendered at a lower resolution.
 */
mimo_vl_status mimo_vl_pdf_options_set_max_pixels(struct mimo_vl_pdf_options *options,
                                                  uint32_t max_pixels,
                                                  struct mimo_vl_error **error_out);

/**
 * Sets the largest number of pages, beyond which rendering fails; default 64.
 */
mimo_vl_status mimo_vl_pdf_options_set_max_pages(struct mimo_vl_pdf_options *options,
                                                 size_t max_pages,
                                                 struct mimo_vl_error **error_out);

/**
 * Sets the password of an encrypted file, a NUL-terminated string; default none.
 */
mimo_vl_status mimo_vl_pdf_options_set_password(struct mimo_vl_pdf_options *options,
                                                const char *password,
                                                struct mimo_vl_error **error_out);

/**
 * Sets the token that cancels the calls with these options; NULL removes it. Default none.
 */
mimo_vl_status mimo_vl_pdf_options_set_cancel(struct mimo_vl_pdf_options *options,
                                              const struct mimo_vl_cancel_token *token,
                                              struct mimo_vl_error **error_out);

/**
 * Sets the time limit of a call with these options in seconds; 0 or less is off, the default. A call that takes longer
 * fails with MIMO_VL_STATUS_TIMEOUT.
 */
mimo_vl_status mimo_vl_pdf_options_set_timeout(struct mimo_vl_pdf_options *options,
                                               double seconds,
                                               struct mimo_vl_error **error_out);

/**
 * Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
 * Default none. The stage is MIMO_VL_STAGE_DECODE.
 */
mimo_vl_status mimo_vl_pdf_options_set_progress(struct mimo_vl_pdf_options *options,
                                                mimo_vl_progress_callback callback,
                                                void *user_data,
                                                struct mimo_vl_error **error_out);

/**
 * Frees the options.
 */
void mimo_vl_pdf_options_free(struct mimo_vl_pdf_options *options);

/**
 * Renders pages of a PDF file. `options` may be NULL for the defaults. Free the pages with mimo_vl_pdf_free.
 *
 * Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_IMAGE if it is not a PDF file, damaged, or
 * needs another password; MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT; MIMO_VL_STATUS_OPTION for options out of
 * range and pages that the file does not have.
 */
mimo_vl_status mimo_vl_pdf_from_path(const char *path,
                                     const struct mimo_vl_pdf_options *options,
                                     struct mimo_vl_pdf **pdf_out,
                                     struct mimo_vl_error **error_out);

/**
 * Returns the number of rendered pages.
 */
size_t mimo_vl_pdf_page_count(const struct mimo_vl_pdf *pdf);

/**
 * Makes an image of rendered page `index`, counted from 0. Free it with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION if there is no such page.
 */
mimo_vl_status mimo_vl_pdf_page_image(const struct mimo_vl_pdf *pdf,
                                      size_t index,
                                      struct mimo_vl_image **image_out,
                                      struct mimo_vl_error **error_out);

/**
 * Returns the number in the file, counted from 1, of rendered page `index`; 0 if there is no such page.
 */
size_t mimo_vl_pdf_page_number(const struct mimo_vl_pdf *pdf, size_t index);

/**
 * Writes width and height of rendered page `index`, in points, to `size_out[0..1]`. Returns false, and writes nothing,
 * if there is no such page.
 */
bool mimo_vl_pdf_page_size(const struct mimo_vl_pdf *pdf,
                           size_t index,
                           double *size_out);

/**
 * Converts a box on the image of rendered page `index`, left, top, right and bottom in pixels at `pixels[0..3]`, to
 * points of the page: smaller x, smaller y, larger x and larger y at `points_out[0..3]`, with y upwards. Returns
 * false, and writes nothing, if there is no such page.
 */
bool mimo_vl_pdf_page_box_to_points(const struct mimo_vl_pdf *pdf,
                                    size_t index,
                                    const double *pixels,
                                    double *points_out);

/**
 * Frees the pages. Images made of them are not affected.
 */
void mimo_vl_pdf_free(struct mimo_vl_pdf *pdf);

/**
 * Loads the checkpoint at `path`: a folder with the hub's layout (config.json, safetensors, tokenizer.json, ...), a
 * GGUF file, or the id of a model hub repository. `options` may be NULL for the defaults. Free the model with
 * mimo_vl_model_free.
 *
 * Errors: MIMO_VL_STATUS_IO, MIMO_VL_STATUS_CHECKPOINT and MIMO_VL_STATUS_TENSOR for the files; MIMO_VL_STATUS_HUB for
 * a download; MIMO_VL_STATUS_DEVICE for the device; MIMO_VL_STATUS_MEMORY if the weights do not fit;
 * MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT; MIMO_VL_STATUS_OPTION for options out of range.
 */
mimo_vl_status mimo_vl_model_load(const char *path,
                                  const struct mimo_vl_load_options *options,
                                  struct mimo_vl_model **model_out,
                                  struct mimo_vl_error **error_out);

/**
 * Writes the name of the model's device, such as "cpu", to `*device_out`.
 */
void mimo_vl_model_device(const struct mimo_vl_model *model, struct mimo_vl_str *device_out);

/**
 * Frees the model. Its memory is freed with the last session or batch that uses it.
 */
void mimo_vl_model_free(struct mimo_vl_model *model);

/**
 * Computes the features of an image. Free them with mimo_vl_features_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE if the image cannot be resized to what the model accepts.
 */
mimo_vl_status mimo_vl_model_features(const struct mimo_vl_model *model,
                                      const struct mimo_vl_image *image,
                                      struct mimo_vl_features **features_out,
                                      struct mimo_vl_error **error_out);

/**
 * Returns the rows * width floats, row by row; they are valid as long as the features.
 */
const float *mimo_vl_features_data(const struct mimo_vl_features *features);

/**
 * Returns the number of rows, one per token.
 */
size_t mimo_vl_features_rows(const struct mimo_vl_features *features);

/**
 * Returns the number of floats in a row.
 */
size_t mimo_vl_features_width(const struct mimo_vl_features *features);

/**
 * Frees the features.
 */
void mimo_vl_features_free(struct mimo_vl_features *features);

/**
 * Makes an empty prompt with one user message. Free it with mimo_vl_prompt_free.
 */
struct mimo_vl_prompt *mimo_vl_prompt_new_user(void);

/**
 * Sets the system message, `len` bytes of UTF-8 at `text`, in place of that of the prompt and of the conversation.
 */
mimo_vl_status mimo_vl_prompt_set_system(struct mimo_vl_prompt *prompt,
                                         const char *text,
                                         size_t len,
                                         struct mimo_vl_error **error_out);

/**
 * Begins the next message, to which everything is added from here on; `role` is a mimo_vl_role. With it a prompt can
 * carry earlier messages of a conversation. It replaces the user message of a prompt that is still empty. The last
 * message must be the user's, unless mimo_vl_prompt_set_continue_final_message is set.
 */
mimo_vl_status mimo_vl_prompt_begin_message(struct mimo_vl_prompt *prompt,
                                            int32_t role,
                                            struct mimo_vl_error **error_out);

/**
 * Adds `len` bytes of UTF-8 at `text`. Text that looks like one of the model's special tokens is encoded as plain
 * text.
 */
mimo_vl_status mimo_vl_prompt_add_text(struct mimo_vl_prompt *prompt,
                                       const char *text,
                                       size_t len,
                                       struct mimo_vl_error **error_out);

/**
 * Returns true if `len` bytes of UTF-8 at `text` look like the name of a media file or a URL, which a prompt would
 * send as text: it names an existing file, or is one word that is a URL or ends like a media file.
 */
bool mimo_vl_is_media_name(const char *text,
                           size_t len);

/**
 * Adds an image. The prompt shares its pixels; the image may be freed or changed afterwards.
 */
mimo_vl_status mimo_vl_prompt_add_image(struct mimo_vl_prompt *prompt,
                                        const struct mimo_vl_image *image,
                                        struct mimo_vl_error **error_out);

/**
 * Adds a video. The prompt shares its pixels; the video may be freed or changed afterwards.
 */
mimo_vl_status mimo_vl_prompt_add_video(struct mimo_vl_prompt *prompt,
                                        const struct mimo_vl_video *video,
                                        struct mimo_vl_error **error_out);

/**
 * Sets thinking, a mimo_vl_thinking; default MIMO_VL_THINKING_AUTO.
 */
mimo_vl_status mimo_vl_prompt_set_thinking(struct mimo_vl_prompt *prompt,
                                           int32_t thinking,
                                           struct mimo_vl_error **error_out);

/**
 * Sets whether the answer continues the text of the last message, which must be the assistant's; default false. The
 * answer has only what is added; the conversation then has the whole message.
 */
mimo_vl_status mimo_vl_prompt_set_continue_final_message(struct mimo_vl_prompt *prompt,
                                                         bool continues,
                                                         struct mimo_vl_error **error_out);

/**
 * Frees the prompt.
 */
void mimo_vl_prompt_free(struct mimo_vl_prompt *prompt);

/**
 * Writes the label to `*label_out`. Returns false, and writes an empty text, if the region has none. The text is valid
 * as long as the region.
 */
bool mimo_vl_region_label(const struct mimo_vl_region *region,
                          struct mimo_vl_str *label_out);

/**
 * Writes the text that the answer read in the region to `*text_out`. Returns false, and writes an empty text, if there
 * is none. The text is valid as long as the region.
 */
bool mimo_vl_region_text(const struct mimo_vl_region *region,
                         struct mimo_vl_str *text_out);

/**
 * Returns the index of the region's image or video among those of the conversation, counted from 0.
 */
size_t mimo_vl_region_image(const struct mimo_vl_region *region);

/**
 * Returns the number of the region's page in its PDF file, counted from 1; 0 if its image is not a PDF page.
 */
size_t mimo_vl_region_page(const struct mimo_vl_region *region);

/**
 * Writes left, top, right and bottom of a box to `edges_out[0..3]`; `frame` is a mimo_vl_frame. Returns false, and
 * writes nothing, if the region is not a box or lacks the frame.
 */
bool mimo_vl_region_box(const struct mimo_vl_region *region,
                        int32_t frame,
                        double *edges_out);

/**
 * Returns the number of points; 0 for a box.
 */
size_t mimo_vl_region_point_count(const struct mimo_vl_region *region);

/**
 * Writes x and y of point `index`, counted from 0, to `point_out[0..1]`; `frame` is a mimo_vl_frame. Returns false,
 * and writes nothing, if there is no such point or the region lacks the frame.
 */
bool mimo_vl_region_point(const struct mimo_vl_region *region,
                          size_t index,
                          int32_t frame,
                          double *point_out);

/**
 * Returns true if the answer's coordinates were corrected: moved to the edge of the image, or sides of a box swapped.
 */
bool mimo_vl_region_clamped(const struct mimo_vl_region *region);

/**
 * Returns the confidence, 0 to 1: the geometric mean of the probabilities of the region's tokens, which is not
 * calibrated. NaN without mimo_vl_generate_options_set_logprobs.
 */
float mimo_vl_region_confidence(const struct mimo_vl_region *region);

/**
 * Writes the text of the answer, without the thinking, to `*text_out`.
 */
void mimo_vl_answer_text(const struct mimo_vl_answer *answer, struct mimo_vl_str *text_out);

/**
 * Writes the text of the thinking to `*text_out`. Returns false, and writes an empty text, if there was no thinking.
 */
bool mimo_vl_answer_thinking(const struct mimo_vl_answer *answer,
                             struct mimo_vl_str *text_out);

/**
 * Returns the reason for the end of the answer; MIMO_VL_STOP_REASON_CANCELLED for NULL.
 */
mimo_vl_stop_reason mimo_vl_answer_stop_reason(const struct mimo_vl_answer *answer);

/**
 * Returns the number of tokens of the answer, thinking included.
 */
size_t mimo_vl_answer_tokens(const struct mimo_vl_answer *answer);

/**
 * Returns the number of tokens of the conversation before the answer, images and videos included.
 */
size_t mimo_vl_answer_prompt_tokens(const struct mimo_vl_answer *answer);

/**
 * Returns the time of a part of the work, a mimo_vl_timing, in seconds; NaN for another number.
 */
double mimo_vl_answer_seconds(const struct mimo_vl_answer *answer, int32_t timing);

/**
 * Returns the decoding speed, in tokens per second of MIMO_VL_TIMING_DECODE; 0 if no token was decoded.
 */
double mimo_vl_answer_decode_tokens_per_second(const struct mimo_vl_answer *answer);

/**
 * Returns true if the model ended the answer itself, with every JSON list and object closed, and the answer is not
 * empty after a thinking.
 */
bool mimo_vl_answer_complete(const struct mimo_vl_answer *answer);

/**
 * Returns true if the grammar ended the answer before the model would have, because a limit came near: the answer fits
 * the grammar, and may lack items or text. The stop reason is the limit.
 */
bool mimo_vl_answer_closed_early(const struct mimo_vl_answer *answer);

/**
 * Returns the number of regions in the answer.
 */
size_t mimo_vl_answer_region_count(const struct mimo_vl_answer *answer);

/**
 * Returns region `index`, counted from 0 in the order of the text; NULL if there is no such region. It is valid as
 * long as the answer, and must not be freed.
 */
const struct mimo_vl_region *mimo_vl_answer_region(const struct mimo_vl_answer *answer,
                                                   size_t index);

/**
 * Draws the regions of the answer that lie in image `index` of the conversation, with their labels, on a copy of
 * `image`, which is that image. Free the copy with mimo_vl_image_free.
 */
mimo_vl_status mimo_vl_answer_draw_regions(const struct mimo_vl_answer *answer,
                                           size_t index,
                                           const struct mimo_vl_image *image,
                                           struct mimo_vl_image **image_out,
                                           struct mimo_vl_error **error_out);

/**
 * Returns the number of tokens with a logprob: that of mimo_vl_answer_tokens with
 * mimo_vl_generate_options_set_logprobs, else 0.
 */
size_t mimo_vl_answer_logprob_count(const struct mimo_vl_answer *answer);

/**
 * Returns the logprob of token `index` of the answer, counted from 0: the natural logarithm of the probability that
 * the model gave to it, before bias, penalties and temperature. NaN if there is none.
 */
float mimo_vl_answer_logprob(const struct mimo_vl_answer *answer,
                             size_t index);

/**
 * Returns the id of token `index` of the answer, counted from 0; UINT32_MAX if it has no logprob.
 */
uint32_t mimo_vl_answer_logprob_token(const struct mimo_vl_answer *answer, size_t index);

/**
 * Writes start and end of token `index` of the answer, counted from 0, to `range_out[0..1]`: bytes of
 * mimo_vl_answer_text. The range is empty for a token outside of that text; tokens that make up one character share a
 * range. Returns false, and writes nothing, if it has no logprob.
 */
bool mimo_vl_answer_logprob_range(const struct mimo_vl_answer *answer,
                                  size_t index,
                                  size_t *range_out);

/**
 * Returns the number of most likely alternatives to token `index` of the answer, counted from 0: as set by
 * mimo_vl_generate_options_set_logprobs.
 */
size_t mimo_vl_answer_top_logprob_count(const struct mimo_vl_answer *answer, size_t index);

/**
 * Returns the logprob of alternative `rank`, counted from 0 with the most likely first, to token `index` of the
 * answer; NaN if there is none. `*token_out`, unless it is NULL, becomes the id of the alternative, or UINT32_MAX.
 */
float mimo_vl_answer_top_logprob(const struct mimo_vl_answer *answer,
                                 size_t index,
                                 size_t rank,
                                 uint32_t *token_out);

/**
 * Returns the confidence of a value of a JSON answer, 0 to 1: the geometric mean of the probabilities of its tokens,
 * which is not calibrated. `pointer`, of `len` bytes, is a JSON pointer (RFC 6901) such as "/items/0/price", or empty
 * for the complete answer. NaN if there is no such value, and without mimo_vl_generate_options_set_logprobs.
 */
float mimo_vl_answer_field_confidence(const struct mimo_vl_answer *answer,
                                      const char *pointer,
                                      size_t len);

/**
 * Returns the memory of the session after the answer in bytes; `memory` is a mimo_vl_memory. 0 for another number.
 */
uint64_t mimo_vl_answer_bytes(const struct mimo_vl_answer *answer,
                              int32_t memory);

/**
 * Frees the answer and the texts and regions read from it.
 */
void mimo_vl_answer_free(struct mimo_vl_answer *answer);

/**
 * Generates until the next event, and writes its kind to `*kind_out` and its text to `*text_out`. The text is valid
 * until the next call with this stream; it consists of complete UTF-8 characters, and the texts of all events together
 * are the answer. After MIMO_VL_EVENT_KIND_END, whose text is empty, every further call returns that event again.
 *
 * After an error the stream can only be freed, and the conversation is as before the prompt. `*kind_out` and
 * `*text_out` are unchanged.
 *
 * Errors: MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_OPTION if the stream has failed before.
 */
mimo_vl_status mimo_vl_stream_next(struct mimo_vl_stream *stream,
                                   mimo_vl_event_kind *kind_out,
                                   struct mimo_vl_str *text_out,
                                   struct mimo_vl_error **error_out);

/**
 * Returns the region of the last event, if that was a MIMO_VL_EVENT_KIND_REGION; otherwise NULL. It is valid until the
 * next call with this stream, and must not be freed.
 */
const struct mimo_vl_region *mimo_vl_stream_region(const struct mimo_vl_stream *stream);

/**
 * Ends the thinking after the tokens generated so far; the answer follows. Has no effect outside of the thinking.
 *
 * Errors: MIMO_VL_STATUS_OPTION if the stream has failed before.
 */
mimo_vl_status mimo_vl_stream_end_thinking(struct mimo_vl_stream *stream,
                                           struct mimo_vl_error **error_out);

/**
 * Ends the answer after the tokens generated so far, and keeps it in the conversation. Events that are already pending
 * follow; the last is MIMO_VL_EVENT_KIND_END, and the answer's stop reason is MIMO_VL_STOP_REASON_CANCELLED. Has no
 * effect after the end.
 *
 * Errors: MIMO_VL_STATUS_OPTION if the stream has failed before.
 */
mimo_vl_status mimo_vl_stream_stop(struct mimo_vl_stream *stream,
                                   struct mimo_vl_error **error_out);

/**
 * Generates to the end and returns the complete answer. The session is free for the next call afterwards; the stream
 * can only be freed. Free the answer with mimo_vl_answer_free.
 *
 * Errors: those of mimo_vl_stream_next; MIMO_VL_STATUS_OPTION if the stream has been finished before.
 */
mimo_vl_status mimo_vl_stream_finish(struct mimo_vl_stream *stream,
                                     struct mimo_vl_answer **answer_out,
                                     struct mimo_vl_error **error_out);

/**
 * Frees the stream. An answer that has not reached its end is dropped, and the conversation is as before the prompt.
 */
void mimo_vl_stream_free(struct mimo_vl_stream *stream);

/**
 * Makes a session with an empty conversation. Free it with mimo_vl_session_free.
 */
mimo_vl_status mimo_vl_session_new(const struct mimo_vl_model *model,
                                   struct mimo_vl_session **session_out,
                                   struct mimo_vl_error **error_out);

/**
 * Generates an answer to a prompt; both become part of the conversation. `options` may be NULL for the defaults. Free
 * the answer with mimo_vl_answer_free.
 *
 * If the call fails, the conversation is as before.
 *
 * Errors: MIMO_VL_STATUS_PROMPT and MIMO_VL_STATUS_IMAGE for the prompt; MIMO_VL_STATUS_CONTEXT_TOO_LONG;
 * MIMO_VL_STATUS_MEMORY; MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT; MIMO_VL_STATUS_OPTION for options out of
 * range, and while another thread or an open stream uses the session.
 */
mimo_vl_status mimo_vl_session_ask(struct mimo_vl_session *session,
                                   const struct mimo_vl_prompt *prompt,
                                   const struct mimo_vl_generate_options *options,
                                   struct mimo_vl_answer **answer_out,
                                   struct mimo_vl_error **error_out);

/**
 * Begins an answer to a prompt, to be read with mimo_vl_stream_next. The prompt has been prefilled when this function
 * returns. `options` may be NULL for the defaults. Free the stream with mimo_vl_stream_free.
 *
 * The session is busy until the stream is finished or freed; it may be freed before.
 *
 * Errors: those of mimo_vl_session_ask.
 */
mimo_vl_status mimo_vl_session_stream(struct mimo_vl_session *session,
                                      const struct mimo_vl_prompt *prompt,
                                      const struct mimo_vl_generate_options *options,
                                      struct mimo_vl_stream **stream_out,
                                      struct mimo_vl_error **error_out);

/**
 * Generates an answer like mimo_vl_session_stream, and passes each event to `callback` with `user_data`. MIMO_VL_STOP
 * ends the answer and keeps it; MIMO_VL_CANCEL cancels the call. The value returned for MIMO_VL_EVENT_KIND_END is
 * ignored. `options` may be NULL for the defaults; `answer_out` may be NULL. Free the answer with mimo_vl_answer_free.
 *
 * Errors: those of mimo_vl_session_ask.
 */
mimo_vl_status mimo_vl_session_ask_with_callback(struct mimo_vl_session *session,
                                                 const struct mimo_vl_prompt *prompt,
                                                 const struct mimo_vl_generate_options *options,
                                                 mimo_vl_event_callback callback,
                                                 void *user_data,
                                                 struct mimo_vl_answer **answer_out,
                                                 struct mimo_vl_error **error_out);

/**
 * Makes an independent copy of the conversation as a session of its own. The two share images and their features. Free
 * it with mimo_vl_session_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION while another thread or an open stream uses the session.
 */
mimo_vl_status mimo_vl_session_fork(const struct mimo_vl_session *session,
                                    struct mimo_vl_session **session_out,
                                    struct mimo_vl_error **error_out);

/**
 * Writes the conversation to a file, with its images and their features.
 *
 * Errors: MIMO_VL_STATUS_IO if the file cannot be written; MIMO_VL_STATUS_OPTION while another thread or an open
 * stream uses the session.
 */
mimo_vl_status mimo_vl_session_save(const struct mimo_vl_session *session,
                                    const char *path,
                                    struct mimo_vl_error **error_out);

/**
 * Makes a session of a file that mimo_vl_session_save wrote. Free it with mimo_vl_session_free.
 *
 * Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_CHECKPOINT if it is not such a file, damaged,
 * or of another model.
 */
mimo_vl_status mimo_vl_session_load(const struct mimo_vl_model *model,
                                    const char *path,
                                    struct mimo_vl_session **session_out,
                                    struct mimo_vl_error **error_out);

/**
 * Clears the conversation.
 *
 * Errors: MIMO_VL_STATUS_OPTION while another thread or an open stream uses the session.
 */
mimo_vl_status mimo_vl_session_reset(struct mimo_vl_session *session, struct mimo_vl_error **error_out);

/**
 * Frees the session. An open stream of it can still be read.
 */
void mimo_vl_session_free(struct mimo_vl_session *session);

/**
 * Makes an empty batch that generates at most `max_concurrent` answers at a time; further prompts wait. `cancel`
 * cancels all prompts that are not answered yet; it may be NULL, and each prompt may have a token of its own in its
 * options. Free the batch with mimo_vl_batch_free.
 */
mimo_vl_status mimo_vl_batch_new(const struct mimo_vl_model *model,
                                 size_t max_concurrent,
                                 const struct mimo_vl_cancel_token *cancel,
                                 struct mimo_vl_batch **batch_out,
                                 struct mimo_vl_error **error_out);

/**
 * Adds a prompt, also while others are being answered, and writes its number, counted from 0, to `*number_out`.
 * `options` may be NULL for the defaults. Errors of the prompt are reported by mimo_vl_batch_next.
 */
mimo_vl_status mimo_vl_batch_add(struct mimo_vl_batch *batch,
                                 const struct mimo_vl_prompt *prompt,
                                 const struct mimo_vl_generate_options *options,
                                 size_t *number_out,
                                 struct mimo_vl_error **error_out);

/**
 * Generates until the next event of any prompt, and writes the prompt's number to `*number_out`, the event's kind to
 * `*kind_out` and its text to `*text_out`, which may be NULL. The text is valid until the next call with this batch.
 * `*number_out` becomes SIZE_MAX once all prompts are answered; more may be added then.
 *
 * Errors: those of mimo_vl_session_ask, for the prompt `*number_out` alone; the others continue. After a cancel
 * of the batch's token MIMO_VL_STATUS_CANCELLED for each prompt.
 */
mimo_vl_status mimo_vl_batch_next(struct mimo_vl_batch *batch,
                                  size_t *number_out,
                                  mimo_vl_event_kind *kind_out,
                                  struct mimo_vl_str *text_out,
                                  struct mimo_vl_error **error_out);

/**
 * Returns the region of the last event, if that was a MIMO_VL_EVENT_KIND_REGION; otherwise NULL. It is valid until the
 * next call with this batch, and must not be freed.
 */
const struct mimo_vl_region *mimo_vl_batch_region(const struct mimo_vl_batch *batch);

/**
 * Takes the answer to prompt `number`, after its MIMO_VL_EVENT_KIND_END, once. Free it with mimo_vl_answer_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION if the prompt is not answered yet, failed, or its answer has been taken.
 */
mimo_vl_status mimo_vl_batch_answer(struct mimo_vl_batch *batch,
                                    size_t number,
                                    struct mimo_vl_answer **answer_out,
                                    struct mimo_vl_error **error_out);

/**
 * Drops prompt `number`, waiting or being answered. It has no further events.
 */
mimo_vl_status mimo_vl_batch_remove(struct mimo_vl_batch *batch,
                                    size_t number,
                                    struct mimo_vl_error **error_out);

/**
 * Frees the batch. Answers that are not complete are dropped.
 */
void mimo_vl_batch_free(struct mimo_vl_batch *batch);

/**
 * Plans a prompt. `options` may be NULL for the defaults. A plan that does not fit is not an error. Free the plan with
 * mimo_vl_plan_free.
 *
 * Errors: those of mimo_vl_session_ask for the prompt, the options and a busy session.
 */
mimo_vl_status mimo_vl_session_plan(const struct mimo_vl_session *session,
                                    const struct mimo_vl_prompt *prompt,
                                    const struct mimo_vl_generate_options *options,
                                    struct mimo_vl_plan **plan_out,
                                    struct mimo_vl_error **error_out);

/**
 * Makes a copy of `prompt` that fits into a budget: at most `max_tokens` tokens of the complete conversation, 0 for
 * the limit of the context, and at most `max_bytes` bytes of peak memory, 0 for what is free. With `lower_pixels`, its
 * images and videos are reduced as far as necessary. `options` may be NULL for the defaults; `plan_out`, which
 * receives the plan of the copy, may be NULL. Free the prompt with mimo_vl_prompt_free and the plan with
 * mimo_vl_plan_free.
 *
 * Errors: MIMO_VL_STATUS_CONTEXT_TOO_LONG and MIMO_VL_STATUS_MEMORY if it does not fit; those of mimo_vl_session_plan.
 */
mimo_vl_status mimo_vl_session_fit(const struct mimo_vl_session *session,
                                   const struct mimo_vl_prompt *prompt,
                                   const struct mimo_vl_generate_options *options,
                                   size_t max_tokens,
                                   uint64_t max_bytes,
                                   bool lower_pixels,
                                   struct mimo_vl_prompt **prompt_out,
                                   struct mimo_vl_plan **plan_out,
                                   struct mimo_vl_error **error_out);

/**
 * Returns true if the prompt and its answer fit into the context and the free memory.
 */
bool mimo_vl_plan_fits(const struct mimo_vl_plan *plan);

/**
 * Returns the number of tokens of the conversation with the prompt.
 */
size_t mimo_vl_plan_prompt_tokens(const struct mimo_vl_plan *plan);

/**
 * Returns the number of those tokens that are in the KV cache already.
 */
size_t mimo_vl_plan_cached_tokens(const struct mimo_vl_plan *plan);

/**
 * Returns the largest number of tokens that the answer can have.
 */
size_t mimo_vl_plan_answer_tokens(const struct mimo_vl_plan *plan);

/**
 * Returns the size of the KV cache for prompt and answer, in bytes.
 */
uint64_t mimo_vl_plan_cache_bytes(const struct mimo_vl_plan *plan);

/**
 * Returns the peak memory of the process, weights included, in bytes.
 */
uint64_t mimo_vl_plan_peak_bytes(const struct mimo_vl_plan *plan);

/**
 * Returns the free memory in bytes; UINT64_MAX if it is unknown, as on devices with memory of their own, and for NULL.
 */
uint64_t mimo_vl_plan_available_bytes(const struct mimo_vl_plan *plan);

/**
 * Returns the number of parts of the prompt: texts, images and videos.
 */
size_t mimo_vl_plan_part_count(const struct mimo_vl_plan *plan);

/**
 * Returns the number of tokens of part `index`, counted from 0; 0 if there is no such part.
 */
size_t mimo_vl_plan_part_tokens(const struct mimo_vl_plan *plan, size_t index);

/**
 * Writes width and height at which the model sees part `index`, an image or video, to `size_out[0..1]`. Returns false,
 * and writes nothing, for a text and if there is no such part.
 */
bool mimo_vl_plan_part_size(const struct mimo_vl_plan *plan,
                            size_t index,
                            size_t *size_out);

/**
 * Frees the plan.
 */
void mimo_vl_plan_free(struct mimo_vl_plan *plan);

/**
 * Parses the first action of an answer, with points in pixels of the last image of the conversation. Free it with
 * mimo_vl_action_free.
 *
 * Errors: MIMO_VL_STATUS_ANSWER if the answer has no action, or one that is unknown or incomplete.
 */
mimo_vl_status mimo_vl_answer_action(const struct mimo_vl_answer *answer,
                                     struct mimo_vl_action **action_out,
                                     struct mimo_vl_error **error_out);

/**
 * Parses an action, `len` bytes of UTF-8 at `text`, such as its JSON, with points as written there. Free it with
 * mimo_vl_action_free.
 *
 * Errors: those of mimo_vl_answer_action.
 */
mimo_vl_status mimo_vl_action_parse(const char *text,
                                    size_t len,
                                    struct mimo_vl_action **action_out,
                                    struct mimo_vl_error **error_out);

/**
 * Returns the kind; MIMO_VL_ACTION_KIND_WAIT for NULL.
 */
mimo_vl_action_kind mimo_vl_action_kind_of(const struct mimo_vl_action *action);

/**
 * Writes x and y of the point to `point_out[0..1]`. Returns false, and writes nothing, if the action has no point.
 */
bool mimo_vl_action_point(const struct mimo_vl_action *action,
                          double *point_out);

/**
 * Writes x and y of the end of a drag to `point_out[0..1]`. Returns false, and writes nothing, for another action.
 */
bool mimo_vl_action_end_point(const struct mimo_vl_action *action,
                              double *point_out);

/**
 * Writes the text to `*text_out`. Returns false, and writes an empty text, if the action has none.
 */
bool mimo_vl_action_text(const struct mimo_vl_action *action, struct mimo_vl_str *text_out);

/**
 * Writes the direction of a scroll to `*direction_out`: "up", "down", "left" or "right", valid for the life of the
 * process. "down" shows what is further down. Returns false, and writes an empty text, for another action.
 */
bool mimo_vl_action_direction(const struct mimo_vl_action *action,
                              struct mimo_vl_str *direction_out);

/**
 * Returns the number of keys to press; 0 for another action.
 */
size_t mimo_vl_action_key_count(const struct mimo_vl_action *action);

/**
 * Writes the name of key `index`, counted from 0, to `*key_out`. Returns false, and writes an empty text, if there is
 * no such key.
 */
bool mimo_vl_action_key(const struct mimo_vl_action *action,
                        size_t index,
                        struct mimo_vl_str *key_out);

/**
 * Writes the action as JSON to `*json_out`.
 */
void mimo_vl_action_json(const struct mimo_vl_action *action, struct mimo_vl_str *json_out);

/**
 * Frees the action.
 */
void mimo_vl_action_free(struct mimo_vl_action *action);

/**
 * Makes a task without steps; its goal is `len` bytes of UTF-8 at `goal`. Free it with mimo_vl_task_free.
 */
mimo_vl_status mimo_vl_task_new(const char *goal,
                                size_t len,
                                struct mimo_vl_task **task_out,
                                struct mimo_vl_error **error_out);

/**
 * Sets the instruction for the next step, `len` bytes of UTF-8 at `text`; default none.
 */
mimo_vl_status mimo_vl_task_set_instruction(struct mimo_vl_task *task,
                                            const char *text,
                                            size_t len,
                                            struct mimo_vl_error **error_out);

/**
 * Sets the action space: the `count` numbers of mimo_vl_action_kind at `kinds`. Default: click, drag, input, press,
 * wait and finished.
 */
mimo_vl_status mimo_vl_task_set_action_space(struct mimo_vl_task *task,
                                             const int32_t *kinds,
                                             size_t count,
                                             struct mimo_vl_error **error_out);

/**
 * Adds a step: its action, in pixels of the screenshots, which all have one size, and its explanation, `len` bytes of
 * UTF-8 at `explanation`, which may be empty.
 */
mimo_vl_status mimo_vl_task_add_step(struct mimo_vl_task *task,
                                     const char *explanation,
                                     size_t len,
                                     const struct mimo_vl_action *action,
                                     struct mimo_vl_error **error_out);

/**
 * Makes the prompt that requests the next action on `screenshot`, in the format of the model's training. Free it with
 * mimo_vl_prompt_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE if the screenshot cannot be resized to what the model accepts.
 */
mimo_vl_status mimo_vl_task_prompt(const struct mimo_vl_task *task,
                                   const struct mimo_vl_image *screenshot,
                                   const struct mimo_vl_model *model,
                                   struct mimo_vl_prompt **prompt_out,
                                   struct mimo_vl_error **error_out);

/**
 * Sets the grammar of the answer to one action of the task's action space.
 */
mimo_vl_status mimo_vl_generate_options_set_task(struct mimo_vl_generate_options *options,
                                                 const struct mimo_vl_task *task,
                                                 struct mimo_vl_error **error_out);

/**
 * Frees the task.
 */
void mimo_vl_task_free(struct mimo_vl_task *task);

/**
 * Converts a point of a screenshot in pixels to the desktop, and writes x and y in desktop units to `point_out[0..1]`.
 * Returns false, and writes nothing, for a screen that is not finite, or has a side or scale of 0.
 */
bool mimo_vl_screen_to_desktop(const struct mimo_vl_screen *screen,
                               double x,
                               double y,
                               double *point_out);

/**
 * Converts a point of the desktop to a screenshot, and writes x and y in pixels to `point_out[0..1]`; otherwise like
 * mimo_vl_screen_to_desktop.
 */
bool mimo_vl_screen_to_pixels(const struct mimo_vl_screen *screen,
                              double x,
                              double y,
                              double *point_out);

/**
 * Returns the index of the screen, of the `count` at `screens`, that contains the point (x, y) of the desktop; `count`
 * if none does, and for NULL.
 */
size_t mimo_vl_screen_at(const struct mimo_vl_screen *screens,
                         size_t count,
                         double x,
                         double y);

/**
 * Crops a screenshot around (x, y) to a part that is `zoom` times smaller on each side, for a second prompt about
 * small elements. Near an edge the part is moved inwards. Boxes and points of answers stay in pixels of the uncropped
 * screenshot. Free the crop with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION if `zoom` is not finite or below 1.
 */
mimo_vl_status mimo_vl_image_zoom_crop(const struct mimo_vl_image *screenshot,
                                       double x,
                                       double y,
                                       double zoom,
                                       struct mimo_vl_image **image_out,
                                       struct mimo_vl_error **error_out);

/**
 * Converts a scroll to the drag with the same effect on a screen of `width` by `height` pixels; another action is
 * copied. Free it with mimo_vl_action_free.
 */
mimo_vl_status mimo_vl_action_scroll_as_drag(const struct mimo_vl_action *action,
                                             double width,
                                             double height,
                                             struct mimo_vl_action **action_out,
                                             struct mimo_vl_error **error_out);

/**
 * Returns true if the point (x, y) lies in the box with left, top, right and bottom at `edges[0..3]`, edges included.
 */
bool mimo_vl_box_contains(const double *edges,
                          double x,
                          double y);

/**
 * Makes a token that is not cancelled. Free it with mimo_vl_cancel_token_free.
 */
struct mimo_vl_cancel_token *mimo_vl_cancel_token_new(void);

/**
 * Cancels the calls that have the token, those that are running and those that start later: they end with
 * MIMO_VL_STATUS_CANCELLED, and a conversation is as before. The token stays cancelled. Has no effect for NULL.
 *
 * Threads: any number at a time, and signal handlers.
 */
void mimo_vl_cancel_token_cancel(const struct mimo_vl_cancel_token *token);

/**
 * Returns true once the token was cancelled; false for NULL.
 *
 * Threads: any number at a time, and signal handlers.
 */
bool mimo_vl_cancel_token_is_cancelled(const struct mimo_vl_cancel_token *token);

/**
 * Frees the token, also while options, calls, streams and batches have it. Nothing is cancelled.
 */
void mimo_vl_cancel_token_free(struct mimo_vl_cancel_token *token);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MIMO_VL_H */
