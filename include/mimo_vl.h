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
 *   one handle at the same time; otherwise one at a time. A session does one thing at a time: a second call on it, which is
 *   not harmful, ends with MIMO_VL_STATUS_OPTION. Nobody may use a handle while it is freed.
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
 * What a callback returns to go on.
 */
#define MIMO_VL_CONTINUE 0

/**
 * What a callback returns to end the answer where it is and keep it; for progress the same as MIMO_VL_CANCEL.
 */
#define MIMO_VL_STOP 1

/**
 * What a callback returns, as any other number, to give up the call, which ends with MIMO_VL_STATUS_CANCELLED.
 */
#define MIMO_VL_CANCEL 2

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
    MIMO_VL_STATUS_TIMEOUT = 12,
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
    MIMO_VL_STOP_REASON_STOP_SEQUENCE = 4,
    /**
     * The answer went round in circles.
     */
    MIMO_VL_STOP_REASON_LOOP = 5,
    /**
     * The time that the caller allowed is over.
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
    /**
     * A box, or one or several points, closed in the answer; mimo_vl_stream_region has it.
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
 * What is to be done.
 */
enum mimo_vl_action_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Press and let go at the point; the text, if there is one, is what is written there.
     */
    MIMO_VL_ACTION_KIND_CLICK = 0,
    /**
     * Scroll in the direction of mimo_vl_action_direction.
     */
    MIMO_VL_ACTION_KIND_SCROLL = 1,
    /**
     * Type the text, after a click at the point if there is one.
     */
    MIMO_VL_ACTION_KIND_INPUT = 2,
    /**
     * Move from the point to the end point while pressing.
     */
    MIMO_VL_ACTION_KIND_DRAG = 3,
    /**
     * Start the program that the text names.
     */
    MIMO_VL_ACTION_KIND_OPEN = 4,
    /**
     * Press the keys together.
     */
    MIMO_VL_ACTION_KIND_PRESS = 5,
    /**
     * The task is over; the text is how it went.
     */
    MIMO_VL_ACTION_KIND_FINISHED = 6,
    /**
     * Press for long at the point.
     */
    MIMO_VL_ACTION_KIND_LONG_PRESS = 7,
    /**
     * Move to the point.
     */
    MIMO_VL_ACTION_KIND_HOVER = 8,
    /**
     * Choose the entry that the text names.
     */
    MIMO_VL_ACTION_KIND_SELECT = 9,
    /**
     * Do nothing for a while.
     */
    MIMO_VL_ACTION_KIND_WAIT = 10,
    /**
     * Go to another running program, which the text names if there is one.
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
 * The frame in which coordinates are given. In those of pictures the origin is the top left corner and x goes to the right.
 */
enum mimo_vl_frame
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Pixels of the caller's picture, upright and uncut.
     */
    MIMO_VL_FRAME_PIXELS = 0,
    /**
     * The same over the picture's size: from 0 to 1.
     */
    MIMO_VL_FRAME_NORMALIZED = 1,
    /**
     * Pixels of the picture that the model saw, as it wrote them.
     */
    MIMO_VL_FRAME_MODEL = 2,
    /**
     * Points of the page of a PDF file that the picture shows: y goes upwards, and a box has the smaller values first.
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
 * A form that an answer can have.
 */
enum mimo_vl_grammar_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Any form.
     */
    MIMO_VL_GRAMMAR_KIND_NONE = 0,
    /**
     * A JSON value that a schema accepts, which is the text.
     */
    MIMO_VL_GRAMMAR_KIND_JSON_SCHEMA = 1,
    /**
     * A text that a regular expression matches as a whole, which is the text.
     */
    MIMO_VL_GRAMMAR_KIND_REGEX = 2,
    /**
     * A text of a grammar in Lark's notation, which is the text.
     */
    MIMO_VL_GRAMMAR_KIND_LARK = 3,
    /**
     * One of several texts, which are the lines of the text.
     */
    MIMO_VL_GRAMMAR_KIND_CHOICE = 4,
    /**
     * A JSON list of boxes with labels in the last picture.
     */
    MIMO_VL_GRAMMAR_KIND_BOXES = 5,
    /**
     * A JSON list of points with labels in the last picture.
     */
    MIMO_VL_GRAMMAR_KIND_POINTS = 6,
    /**
     * One GUI action on the last picture; mimo_vl_generate_options_set_task limits it to those offered.
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
 * The type in which keys and values of earlier tokens are kept.
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
     * Eight bits.
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
 * How important a message of the log is.
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
     * Something failed.
     */
    MIMO_VL_LOG_LEVEL_ERROR = 1,
    /**
     * Something may be wrong.
     */
    MIMO_VL_LOG_LEVEL_WARN = 2,
    /**
     * What a user of the program may want to know.
     */
    MIMO_VL_LOG_LEVEL_INFO = 3,
    /**
     * What a developer may want to know: sizes and times of every answer.
     */
    MIMO_VL_LOG_LEVEL_DEBUG = 4,
    /**
     * Everything, every token among it.
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
 * What takes memory.
 */
enum mimo_vl_memory
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The model's weights.
     */
    MIMO_VL_MEMORY_WEIGHTS = 0,
    /**
     * Keys and values of the tokens so far, as they are allocated.
     */
    MIMO_VL_MEMORY_CACHE = 1,
    /**
     * The pixels of the conversation's pictures and videos.
     */
    MIMO_VL_MEMORY_PIXELS = 2,
    /**
     * What the vision tower made of them.
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
 * The order of the bytes of a pixel.
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
     * 4 bytes: red, green, blue, alpha; the picture is laid on white.
     */
    MIMO_VL_PIXEL_FORMAT_RGBA = 2,
    /**
     * 4 bytes: blue, green, red, alpha; the picture is laid on white.
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
 * Who says a message.
 */
enum mimo_vl_role
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Instructions for the whole conversation.
     */
    MIMO_VL_ROLE_SYSTEM = 0,
    /**
     * The one who asks.
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
    /**
     * Choosing the tokens of the answer.
     */
    MIMO_VL_STAGE_SAMPLING = 5,
    /**
     * Reading and decoding the files of the question's pictures, videos and pages, before it was asked.
     */
    MIMO_VL_STAGE_MEDIA = 6,
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
 * How the model is told to think or not to.
 */
enum mimo_vl_thinking_style
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * ` /no_think` at the end of the question: models of August 2025.
     */
    MIMO_VL_THINKING_STYLE_SLASH = 0,
    /**
     * `<no_think>` on a line of its own at the end: models before.
     */
    MIMO_VL_THINKING_STYLE_TAG = 1,
    /**
     * An answer that is begun with empty thinking: any model.
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
 * The type in which weights are kept.
 */
enum mimo_vl_weight_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * As the checkpoint has them.
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
     * Rounded to eight bits.
     */
    MIMO_VL_WEIGHT_FORMAT_INT8 = 4,
    /**
     * Rounded to four bits, the more delicate ones to eight.
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
 * One of the twelve actions on a screen.
 */
typedef struct mimo_vl_action mimo_vl_action;

/**
 * A whole answer.
 */
typedef struct mimo_vl_answer mimo_vl_answer;

/**
 * Several questions that are answered at once, each in a conversation of its own. It keeps the model alive.
 */
typedef struct mimo_vl_batch mimo_vl_batch;

/**
 * A handle that stops the work of the session it came from. It outlives the session safely.
 */
typedef struct mimo_vl_cancel_token mimo_vl_cancel_token;

/**
 * Why a call failed.
 */
typedef struct mimo_vl_error mimo_vl_error;

/**
 * What the vision tower made of a picture.
 */
typedef struct mimo_vl_features mimo_vl_features;

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
 * The pages of a PDF file, as they were asked for.
 */
typedef struct mimo_vl_pdf mimo_vl_pdf;

/**
 * Which pages of a PDF file are drawn, and how large.
 */
typedef struct mimo_vl_pdf_options mimo_vl_pdf_options;

/**
 * What a question will take, before anything of it is computed.
 */
typedef struct mimo_vl_plan mimo_vl_plan;

/**
 * What one question adds to the conversation: text and pictures in the order in which they were added. One prompt
 * can be asked any number of times.
 */
typedef struct mimo_vl_prompt mimo_vl_prompt;

/**
 * A box, or one or several points, with its name.
 */
typedef struct mimo_vl_region mimo_vl_region;

/**
 * A conversation with a model: it remembers the questions and answers so far. It keeps the model alive.
 */
typedef struct mimo_vl_session mimo_vl_session;

/**
 * An answer that is being written.
 */
typedef struct mimo_vl_stream mimo_vl_stream;

/**
 * What an agent is to reach on a screen, and what it did so far.
 */
typedef struct mimo_vl_task mimo_vl_task;

/**
 * Frames of a video. Prompts that it was added to keep what they need of it.
 */
typedef struct mimo_vl_video mimo_vl_video;

/**
 * Which frames of a video file are taken, and how large they are.
 */
typedef struct mimo_vl_video_options mimo_vl_video_options;

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

/**
 * Given each message of the log; `level` is one of mimo_vl_log_level. `message` lives for the call only. It is called on
 * any thread, on several at a time, must not unwind, and must not call functions of this library.
 */
typedef void (*mimo_vl_log_callback)(void *user_data, int32_t level, struct mimo_vl_str message);

/**
 * Told once that the library needs what it was lent no more. It is called on any thread, must not unwind, and must not call
 * functions of this library.
 */
typedef void (*mimo_vl_release_callback)(void *user_data);

/**
 * Told how far loading or decoding is: `done` of `of`, in bytes or in frames. `user_data` is what the caller gave. It is
 * called on the thread of the call, must be quick, must not unwind, and returns MIMO_VL_CONTINUE or MIMO_VL_CANCEL.
 */
typedef int32_t (*mimo_vl_progress_callback)(void *user_data, uint64_t done, uint64_t of);

/**
 * Given each event of an answer: its text, and the region of MIMO_VL_EVENT_KIND_REGION, which is NULL for the other kinds.
 * Both live for the call only. It is called on the thread of the call, must not unwind, and returns MIMO_VL_CONTINUE,
 * MIMO_VL_STOP or MIMO_VL_CANCEL.
 */
typedef int32_t (*mimo_vl_event_callback)(void *user_data,
                                          mimo_vl_event_kind kind,
                                          struct mimo_vl_str text,
                                          const struct mimo_vl_region *region);

/**
 * Told how far a question is before its answer begins: `done` of `of`; `stage` is MIMO_VL_STAGE_ENCODE or
 * MIMO_VL_STAGE_PREFILL. It is called on the thread of the call, must be quick and must not unwind. To stop the work, use the
 * session's cancel handle.
 */
typedef void (*mimo_vl_stage_callback)(void *user_data, int32_t stage, size_t done, size_t of);

/**
 * A monitor: where a screenshot of it lies on the desktop. Desktop units are what an operating system places windows and
 * pointers in; one covers `scale` pixels of a monitor.
 */
typedef struct mimo_vl_screen {
    /**
     * Left edge, in desktop units.
     */
    double left;
    /**
     * Top edge, in desktop units.
     */
    double top;
    /**
     * Pixels of its screenshot from left to right.
     */
    uint32_t width;
    /**
     * Pixels of its screenshot from top to bottom.
     */
    uint32_t height;
    /**
     * Pixels for one desktop unit: 1, or 1.25, 1.5, 2 and the like on dense monitors.
     */
    double scale;
} mimo_vl_screen;

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
 * Send messages of the library's log that are as important as `level`, one of mimo_vl_log_level, to `callback`, with
 * `user_data`. NULL, or MIMO_VL_LOG_LEVEL_OFF, ends that; when this returns, no call to the callback before is under way.
 *
 * Errors: MIMO_VL_STATUS_OPTION for another level, and when the process has a subscriber to the log from elsewhere.
 *
 * Threads: any.
 */
mimo_vl_status mimo_vl_set_log_callback(int32_t level,
                                        mimo_vl_log_callback callback,
                                        void *user_data,
                                        struct mimo_vl_error **error_out);

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
 * Set the type in which weights are kept; `weights` is one of mimo_vl_weight_format.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
 */
mimo_vl_status mimo_vl_load_options_set_weights(struct mimo_vl_load_options *options,
                                                int32_t weights,
                                                struct mimo_vl_error **error_out);

/**
 * Set the type in which keys and values of earlier tokens are kept; `kv_cache` is one of mimo_vl_kv_cache_dtype. Without it:
 * 16-bit floats for weights of four or eight bits, else 32-bit floats.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
 */
mimo_vl_status mimo_vl_load_options_set_kv_cache_dtype(struct mimo_vl_load_options *options,
                                                 int32_t kv_cache,
                                                 struct mimo_vl_error **error_out);

/**
 * Set from where checkpoints are downloaded that are named by their id on the hub: the revision, the token of an account, the
 * address of the hub, and the folder of the cache, strings that end with a zero byte; NULL is the default of each.
 * `offline` is 1 to take what is in the cache, 0 to ask the hub, and any other number for the default; see docs/guide/hub.md.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL options and strings that are not UTF-8.
 */
mimo_vl_status mimo_vl_load_options_set_hub(struct mimo_vl_load_options *options,
                                            const char *revision,
                                            const char *token,
                                            const char *endpoint,
                                            const char *cache,
                                            int32_t offline,
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
 * Set how the model is told to think or not to; `style` is one of mimo_vl_thinking_style. Without it: as the name of the
 * checkpoint's folder says.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
 */
mimo_vl_status mimo_vl_load_options_set_thinking_style(struct mimo_vl_load_options *options,
                                                       int32_t style,
                                                       struct mimo_vl_error **error_out);

/**
 * Keep at most so many bytes of what the vision tower made of pictures, for other sessions; 0 for none. NULL options are
 * ignored.
 */
void mimo_vl_load_options_set_feature_cache(struct mimo_vl_load_options *options,
                                            uint64_t bytes);

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
void mimo_vl_generate_options_set_num_draft_tokens(struct mimo_vl_generate_options *options,
                                        size_t tokens);

/**
 * Take this from a token's logit for each time that it occurred in the answer; from -2 to 2, 0 for off. NULL options are ignored.
 */
void mimo_vl_generate_options_set_frequency_penalty(struct mimo_vl_generate_options *options,
                                                    float penalty);

/**
 * Take this from a token's logit once it occurred in the answer; from -2 to 2, 0 for off. NULL options are ignored.
 */
void mimo_vl_generate_options_set_presence_penalty(struct mimo_vl_generate_options *options,
                                                   float penalty);

/**
 * Choose among the tokens whose information is nearest to the expected one, which together reach this probability; 1 for all. NULL options are ignored.
 */
void mimo_vl_generate_options_set_typical_p(struct mimo_vl_generate_options *options,
                                            float probability);

/**
 * End the answer with MIMO_VL_STOP_REASON_LOOP when its last so many tokens, at least 16, are one run again and again; 0 for off. NULL options are ignored.
 */
void mimo_vl_generate_options_set_loop_window(struct mimo_vl_generate_options *options,
                                              size_t tokens);

/**
 * Give the logprob of every token of the answer; `on` false for off. Regions get their confidence from them. NULL options are ignored.
 */
void mimo_vl_generate_options_set_logprobs(struct mimo_vl_generate_options *options,
                                           bool on);

/**
 * Allow the call so many seconds; then an answer that has begun ends with MIMO_VL_STOP_REASON_TIMEOUT, and the call fails before that. 0 and less for no limit. NULL options are ignored.
 */
void mimo_vl_generate_options_set_timeout(struct mimo_vl_generate_options *options,
                                           double seconds);

/**
 * Write so many answers and keep the likeliest, which mimo_vl_session_ask does and a stream does not; more than 1 needs a temperature above 0. NULL options are ignored.
 */
void mimo_vl_generate_options_set_best_of(struct mimo_vl_generate_options *options,
                                          size_t answers);

/**
 * End the thinking after so many tokens. NULL options are ignored.
 */
void mimo_vl_generate_options_set_thinking_budget(struct mimo_vl_generate_options *options, size_t tokens);

/**
 * Keep the thinking in the conversation, so that later turns see it. NULL options are ignored.
 */
void mimo_vl_generate_options_set_keep_thinking(struct mimo_vl_generate_options *options, bool keep);

/**
 * Add to the logit of token `id`; minus infinity forbids it. NULL options are ignored.
 */
void mimo_vl_generate_options_set_logit_bias(struct mimo_vl_generate_options *options,
                                             uint32_t id,
                                             float bias);

/**
 * Add a text that ends the answer where it appears in it: `len` bytes of UTF-8 at `text`.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
 */
mimo_vl_status mimo_vl_generate_options_add_stop(struct mimo_vl_generate_options *options,
                                                 const char *text,
                                                 size_t len,
                                                 struct mimo_vl_error **error_out);

/**
 * Let answers have a form, whatever the model would say; `kind` is one of mimo_vl_grammar_kind, and what `len` bytes of UTF-8 at
 * `text` mean depends on it. Whether the text can be read shows when a question is asked.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments, text that is not UTF-8, and for another kind.
 */
mimo_vl_status mimo_vl_generate_options_set_grammar(struct mimo_vl_generate_options *options,
                                                    int32_t kind,
                                                    const char *text,
                                                    size_t len,
                                                    struct mimo_vl_error **error_out);

/**
 * Free the options; NULL is ignored.
 */
void mimo_vl_generate_options_free(struct mimo_vl_generate_options *options);

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
 * Copy raw pixels in another order; `format` is one of mimo_vl_pixel_format. Otherwise as mimo_vl_image_from_rgb, with rows of
 * as many bytes as the format has for `width` pixels.
 *
 * Errors: as mimo_vl_image_from_rgb, and MIMO_VL_STATUS_OPTION for another format.
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
 * Use raw pixels where they are, without a copy: rows from the top, 3 bytes a pixel, red, green, blue, without padding; `len`,
 * the number of bytes at `pixels`, is 3 * width * height. They must stay as they are until `release` is called with `user_data`,
 * once, when the image and everything that was made with it, prompts and conversations, is gone. Free the image with
 * mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE when a side is 0 or too large, or `len` is another number; MIMO_VL_STATUS_OPTION for NULL
 * arguments but `user_data`, and when `len` is 0. `release` is not called then.
 */
mimo_vl_status mimo_vl_image_lend_rgb(uint32_t width,
                                      uint32_t height,
                                      const uint8_t *pixels,
                                      size_t len,
                                      mimo_vl_release_callback release,
                                      void *user_data,
                                      struct mimo_vl_image **image_out,
                                      struct mimo_vl_error **error_out);

/**
 * The part from `(left, top)` on as a picture of its own; boxes and points stay in pixels of the whole one. Free it with
 * mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE when the part is empty or does not lie in the picture, MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_image_crop(const struct mimo_vl_image *image,
                                  uint32_t left,
                                  uint32_t top,
                                  uint32_t width,
                                  uint32_t height,
                                  struct mimo_vl_image **image_out,
                                  struct mimo_vl_error **error_out);

/**
 * Write the picture to a PNG file.
 *
 * Errors: MIMO_VL_STATUS_IO when the file cannot be written, MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_image_write_png(const struct mimo_vl_image *image,
                                       const char *path,
                                       struct mimo_vl_error **error_out);

/**
 * The pixels: rows from the top, 3 bytes each, red, green, blue, without padding. They live as long as the image, and until its
 * limits are set. NULL for NULL.
 */
const uint8_t *mimo_vl_image_pixels(const struct mimo_vl_image *image);

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
 * Options with the defaults: 2 frames a second, at least 4 and at most 768, of the whole video. Free them with
 * mimo_vl_video_options_free.
 */
struct mimo_vl_video_options *mimo_vl_video_options_new(void);

/**
 * Set how many frames are taken from a second. NULL options are ignored.
 */
void mimo_vl_video_options_set_fps(struct mimo_vl_video_options *options, double fps);

/**
 * Take exactly so many frames, rounded to even. NULL options are ignored.
 */
void mimo_vl_video_options_set_frames(struct mimo_vl_video_options *options, size_t frames);

/**
 * Set the fewest and the most frames. NULL options are ignored.
 */
void mimo_vl_video_options_set_frame_limits(struct mimo_vl_video_options *options,
                                            size_t fewest,
                                            size_t most);

/**
 * Take the part from `start` to `end` only, in seconds from the beginning. NULL options are ignored.
 */
void mimo_vl_video_options_set_span(struct mimo_vl_video_options *options, double start, double end);

/**
 * Set the most pixels of all frames together. NULL options are ignored.
 */
void mimo_vl_video_options_set_total_pixels(struct mimo_vl_video_options *options, uint64_t pixels);

/**
 * Set the most pixels of a frame. NULL options are ignored.
 */
void mimo_vl_video_options_set_max_pixels(struct mimo_vl_video_options *options, uint32_t pixels);

/**
 * Free the options; NULL is ignored.
 */
void mimo_vl_video_options_free(struct mimo_vl_video_options *options);

/**
 * Decode frames of a video file with the programs ffprobe and ffmpeg, which must be installed. `options` may be NULL for the
 * defaults, and `progress` for none; `user_data` is for `progress`. Free the video with mimo_vl_video_free.
 *
 * Errors: MIMO_VL_STATUS_IO when the file cannot be read or a program is missing, MIMO_VL_STATUS_IMAGE when it is no video, is
 * damaged or has too few frames, MIMO_VL_STATUS_CANCELLED when `progress` says so, MIMO_VL_STATUS_OPTION for options out of
 * their range and for NULL arguments.
 */
mimo_vl_status mimo_vl_video_from_path(const char *path,
                                       const struct mimo_vl_video_options *options,
                                       mimo_vl_progress_callback progress,
                                       void *user_data,
                                       struct mimo_vl_video **video_out,
                                       struct mimo_vl_error **error_out);

/**
 * Make a video of frames, `fps` of which make one second: `count` images at `frames`, all of one size, which may be freed
 * afterwards. Free the video with mimo_vl_video_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE when there is no frame or one differs in size, MIMO_VL_STATUS_OPTION for a rate that is not above
 * 0 and for NULL arguments, a NULL frame among them.
 */
mimo_vl_status mimo_vl_video_from_frames(const struct mimo_vl_image *const *frames,
                                         size_t count,
                                         double fps,
                                         struct mimo_vl_video **video_out,
                                         struct mimo_vl_error **error_out);

/**
 * Shrink every frame to at most `pixels` pixels before the model sees it. For prompts that the video is added to
 * afterwards. NULL is ignored.
 */
void mimo_vl_video_set_max_pixels(struct mimo_vl_video *video,
                                  uint32_t pixels);

/**
 * Number of frames; 0 for NULL.
 */
size_t mimo_vl_video_frame_count(const struct mimo_vl_video *video);

/**
 * How many of the frames make one second; NaN for NULL.
 */
double mimo_vl_video_fps(const struct mimo_vl_video *video);

/**
 * When frame `index`, counted from 0, is shown, in seconds; NaN for NULL and where there is no such frame.
 */
double mimo_vl_video_timestamp(const struct mimo_vl_video *video, size_t index);

/**
 * Copy frame `index`, counted from 0, as an image that shares its pixels. Free it with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and where there is no such frame.
 */
mimo_vl_status mimo_vl_video_frame(const struct mimo_vl_video *video,
                                   size_t index,
                                   struct mimo_vl_image **image_out,
                                   struct mimo_vl_error **error_out);

/**
 * Free the video; NULL is ignored.
 */
void mimo_vl_video_free(struct mimo_vl_video *video);

/**
 * Options with the defaults: all pages, at most 64, at 144 dots per inch. Free them with mimo_vl_pdf_options_free.
 */
struct mimo_vl_pdf_options *mimo_vl_pdf_options_new(void);

/**
 * Draw the pages from `first` to `last` only, both counted from 1; SIZE_MAX for the last one. NULL options are ignored.
 */
void mimo_vl_pdf_options_set_pages(struct mimo_vl_pdf_options *options,
                                   size_t first,
                                   size_t last);

/**
 * Set the wanted number of pixels per inch. NULL options are ignored.
 */
void mimo_vl_pdf_options_set_dpi(struct mimo_vl_pdf_options *options, float dpi);

/**
 * Set the most pixels of a page; larger ones get fewer per inch. NULL options are ignored.
 */
void mimo_vl_pdf_options_set_max_pixels(struct mimo_vl_pdf_options *options, uint32_t pixels);

/**
 * Set the most pages; more are an error. NULL options are ignored.
 */
void mimo_vl_pdf_options_set_max_pages(struct mimo_vl_pdf_options *options, size_t pages);

/**
 * Set what opens an encrypted file, a string that ends with a zero byte.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and a password that is not UTF-8.
 */
mimo_vl_status mimo_vl_pdf_options_set_password(struct mimo_vl_pdf_options *options,
                                                const char *password,
                                                struct mimo_vl_error **error_out);

/**
 * Free the options; NULL is ignored.
 */
void mimo_vl_pdf_options_free(struct mimo_vl_pdf_options *options);

/**
 * Draw the pages of a PDF file. `options` may be NULL for the defaults, and `progress`, which is told of pages, for none;
 * `user_data` is for `progress`. Free the pages with mimo_vl_pdf_free.
 *
 * Errors: MIMO_VL_STATUS_IO when the file cannot be read, MIMO_VL_STATUS_IMAGE when it is no PDF file, is damaged, or needs
 * another password, MIMO_VL_STATUS_CANCELLED when `progress` says so, MIMO_VL_STATUS_OPTION for options out of their range,
 * pages that the file does not have, and NULL arguments.
 */
mimo_vl_status mimo_vl_pdf_from_path(const char *path,
                                     const struct mimo_vl_pdf_options *options,
                                     mimo_vl_progress_callback progress,
                                     void *user_data,
                                     struct mimo_vl_pdf **pdf_out,
                                     struct mimo_vl_error **error_out);

/**
 * Number of pages that were drawn; 0 for NULL.
 */
size_t mimo_vl_pdf_page_count(const struct mimo_vl_pdf *pdf);

/**
 * What a page shows; `index` counts from 0 through the pages that were drawn. Free the image with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and where there is no such page.
 */
mimo_vl_status mimo_vl_pdf_page_image(const struct mimo_vl_pdf *pdf,
                                      size_t index,
                                      struct mimo_vl_image **image_out,
                                      struct mimo_vl_error **error_out);

/**
 * The number of a page in its file, from 1 on; 0 for NULL and where there is no such page.
 */
size_t mimo_vl_pdf_page_number(const struct mimo_vl_pdf *pdf, size_t index);

/**
 * Write width and height of a page in points, as shown, to the 2 numbers at `size_out`. False, and nothing is written, for NULL
 * arguments and where there is no such page.
 */
bool mimo_vl_pdf_page_size(const struct mimo_vl_pdf *pdf,
                           size_t index,
                           double *size_out);

/**
 * Bring a box of a page's picture, the 4 numbers left, top, right, bottom in pixels at `pixels`, into points of the page, and
 * write the smaller x and y and the larger ones to the 4 numbers at `points_out`; y goes upwards there. False, and nothing
 * is written, for NULL arguments and where there is no such page.
 */
bool mimo_vl_pdf_page_box_to_points(const struct mimo_vl_pdf *pdf,
                                    size_t index,
                                    const double *pixels,
                                    double *points_out);

/**
 * Free the pages; NULL is ignored. Images that were taken of them stay.
 */
void mimo_vl_pdf_free(struct mimo_vl_pdf *pdf);

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
 * Load a checkpoint as mimo_vl_model_load does, and have `progress` told how far it is, in bytes, with `user_data`; the call ends with
 * MIMO_VL_STATUS_CANCELLED when it says so. `path` may name a GGUF file, and a repository of a model hub where the build has that.
 *
 * Errors: as mimo_vl_model_load, MIMO_VL_STATUS_CANCELLED, MIMO_VL_STATUS_HUB.
 */
mimo_vl_status mimo_vl_model_load_watched(const char *path,
                                          const struct mimo_vl_load_options *options,
                                          mimo_vl_progress_callback progress,
                                          void *user_data,
                                          struct mimo_vl_model **model_out,
                                          struct mimo_vl_error **error_out);

/**
 * Compute what the vision tower and the projector make of a picture: a row of numbers for each of its tokens. Free it with
 * mimo_vl_features_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE when the picture cannot be used, MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_model_features(const struct mimo_vl_model *model,
                                      const struct mimo_vl_image *image,
                                      struct mimo_vl_features **features_out,
                                      struct mimo_vl_error **error_out);

/**
 * The numbers, row by row; they live as long as the features. NULL for NULL.
 */
const float *mimo_vl_features_data(const struct mimo_vl_features *features);

/**
 * Number of rows, which is that of tokens; 0 for NULL.
 */
size_t mimo_vl_features_rows(const struct mimo_vl_features *features);

/**
 * Numbers in a row; 0 for NULL.
 */
size_t mimo_vl_features_width(const struct mimo_vl_features *features);

/**
 * Free the features; NULL is ignored.
 */
void mimo_vl_features_free(struct mimo_vl_features *features);

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
 * Begin another message, to which everything is added from now on; `role` is one of mimo_vl_role. So an earlier conversation is
 * put into a prompt: the user's first message, which every prompt begins with, is replaced while it is empty. The last
 * message must be the user's.
 *
 * Errors: MIMO_VL_STATUS_OPTION for a NULL prompt and for another number.
 */
mimo_vl_status mimo_vl_prompt_begin_message(struct mimo_vl_prompt *prompt,
                                            int32_t role,
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
 * Add a video. The prompt shares its pixels; the video may be freed or changed afterwards.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_prompt_add_video(struct mimo_vl_prompt *prompt,
                                        const struct mimo_vl_video *video,
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
 * The region's name, if it has one; then, unless `label_out` is NULL, it is put into `*label_out`, which lives as long as the
 * region, and an empty text otherwise. False for NULL.
 */
bool mimo_vl_region_label(const struct mimo_vl_region *region,
                          struct mimo_vl_str *label_out);

/**
 * The text that is written in the picture there, if the answer has it; otherwise as mimo_vl_region_label.
 */
bool mimo_vl_region_text(const struct mimo_vl_region *region, struct mimo_vl_str *text_out);

/**
 * In which picture or video of the conversation the region lies, from 0; 0 for NULL.
 */
size_t mimo_vl_region_image(const struct mimo_vl_region *region);

/**
 * On which page of its PDF file the region lies, from 1; 0 where its picture shows none, and for NULL.
 */
size_t mimo_vl_region_page(const struct mimo_vl_region *region);

/**
 * If the region is a box, put its left, top, right and bottom edge into `edges_out[0..3]`; `frame` is one of mimo_vl_frame.
 * False, and nothing is written, for points, for a frame that is not there and for NULL arguments.
 */
bool mimo_vl_region_box(const struct mimo_vl_region *region,
                        int32_t frame,
                        double *edges_out);

/**
 * How many points the region has; 0 for a box and for NULL.
 */
size_t mimo_vl_region_point_count(const struct mimo_vl_region *region);

/**
 * Put x and y of point `index`, counted from 0, into `point_out[0..1]`; `frame` is one of mimo_vl_frame. False, and nothing is
 * written, where there is no such point, for a frame that is not there and for NULL arguments.
 */
bool mimo_vl_region_point(const struct mimo_vl_region *region,
                          size_t index,
                          int32_t frame,
                          double *point_out);

/**
 * Whether something of the region lay outside the picture and was moved to its edge, or a box had its sides the wrong way
 * round. False for NULL.
 */
bool mimo_vl_region_clamped(const struct mimo_vl_region *region);

/**
 * How sure the model was of the tokens that wrote the region: the geometric mean of their probabilities, which is not
 * calibrated. NaN unless logprobs were asked for, and for NULL.
 */
float mimo_vl_region_confidence(const struct mimo_vl_region *region);

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
 * Whether the answer came to its own end, with every list and object in it closed; false for NULL.
 */
bool mimo_vl_answer_complete(const struct mimo_vl_answer *answer);

/**
 * Number of boxes and groups of points in the answer; 0 for NULL.
 */
size_t mimo_vl_answer_region_count(const struct mimo_vl_answer *answer);

/**
 * Box or group of points `index`, counted from 0 in the order of the answer. It lives as long as the answer, and is not to be
 * freed. NULL where there is none, and for NULL.
 */
const struct mimo_vl_region *mimo_vl_answer_region(const struct mimo_vl_answer *answer,
                                                   size_t index);

/**
 * Draw the boxes and points that the answer locates in picture `index` of the conversation over `image`, which is that picture,
 * with their names. Free the new image with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_answer_draw_regions(const struct mimo_vl_answer *answer,
                                   size_t index,
                                   const struct mimo_vl_image *image,
                                   struct mimo_vl_image **image_out,
                                   struct mimo_vl_error **error_out);

/**
 * Number of tokens of the answer whose logprob is there: all, if options asked for logprobs, else 0; 0 for NULL.
 */
size_t mimo_vl_answer_logprob_count(const struct mimo_vl_answer *answer);

/**
 * Natural logarithm of the probability that the model gave to token `index` of the answer, counted from 0; NaN where it is not
 * there, and for NULL.
 */
float mimo_vl_answer_logprob(const struct mimo_vl_answer *answer,
                             size_t index);

/**
 * How sure the model was of the tokens that wrote a value of an answer in JSON: the geometric mean of their probabilities, which
 * is not calibrated. `field`, of `field_len` bytes, names the value as RFC 6901 says: "/items/0/price", or nothing for the whole.
 * NaN where there is no such value, unless logprobs were asked for, and for NULL.
 */
float mimo_vl_answer_field_confidence(const struct mimo_vl_answer *answer,
                                      const char *field,
                                      size_t field_len);

/**
 * Bytes that the session took after the answer; `what` is one of mimo_vl_memory. 0 for NULL and for another number.
 */
uint64_t mimo_vl_answer_bytes(const struct mimo_vl_answer *answer,
                              int32_t what);

/**
 * Free the answer and the texts read from it; NULL is ignored.
 */
void mimo_vl_answer_free(struct mimo_vl_answer *answer);

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
 * The box or points of the last event of mimo_vl_stream_next, if that was MIMO_VL_EVENT_KIND_REGION. It lives until the next call with
 * this stream, and is not to be freed. NULL for other events and for NULL.
 */
const struct mimo_vl_region *mimo_vl_stream_region(const struct mimo_vl_stream *stream);

/**
 * End the thinking after the tokens that are there, so that the answer follows. Without effect when the model does not think.
 *
 * Errors: MIMO_VL_STATUS_OPTION for a NULL stream and for one that has failed before.
 */
mimo_vl_status mimo_vl_stream_end_thinking(struct mimo_vl_stream *stream,
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
 * Ask, and have `callback` called with each event of the answer, with `user_data`; the whole answer is given in the end, unless
 * `answer_out` is NULL. When the callback returns MIMO_VL_STOP the answer ends there and is kept; with MIMO_VL_CANCEL the call ends
 * with MIMO_VL_STATUS_CANCELLED and the conversation is as it was before; what it returns for MIMO_VL_EVENT_KIND_END does not matter.
 * `options` may be NULL for the defaults; of several answers, `best_of`, one is written. Free the answer with mimo_vl_answer_free.
 *
 * Errors: as mimo_vl_session_ask, and MIMO_VL_STATUS_OPTION for no callback.
 */
mimo_vl_status mimo_vl_session_ask_with(struct mimo_vl_session *session,
                                        const struct mimo_vl_prompt *prompt,
                                        const struct mimo_vl_generate_options *options,
                                        mimo_vl_event_callback callback,
                                        void *user_data,
                                        struct mimo_vl_answer **answer_out,
                                        struct mimo_vl_error **error_out);

/**
 * Have `callback` told how far questions of this session are, with `user_data`, until it is set again; NULL ends that. It is called
 * on the thread of the call that asks.
 *
 * Errors: MIMO_VL_STATUS_OPTION for a NULL session, and while a stream of the session is open or another thread uses it.
 */
mimo_vl_status mimo_vl_session_set_progress(struct mimo_vl_session *session,
                                            mimo_vl_stage_callback callback,
                                            void *user_data,
                                            struct mimo_vl_error **error_out);

/**
 * A second session that goes on from here on its own; the two share pictures and what was computed of them. Free it with
 * mimo_vl_session_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments, and while a stream of the session is open or another thread uses it.
 */
mimo_vl_status mimo_vl_session_fork(const struct mimo_vl_session *session,
                                    struct mimo_vl_session **session_out,
                                    struct mimo_vl_error **error_out);

/**
 * Write the conversation to a file, with its pictures and what the vision tower made of them.
 *
 * Errors: MIMO_VL_STATUS_IO when the file cannot be written, MIMO_VL_STATUS_OPTION for NULL arguments, and while a stream of the
 * session is open or another thread uses it.
 */
mimo_vl_status mimo_vl_session_save(const struct mimo_vl_session *session,
                                    const char *path,
                                    struct mimo_vl_error **error_out);

/**
 * Go on with a conversation that mimo_vl_session_save wrote. Free it with mimo_vl_session_free.
 *
 * Errors: MIMO_VL_STATUS_IO when the file cannot be read, MIMO_VL_STATUS_CHECKPOINT when it is no such file, is damaged, or of another
 * model; MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_session_load(const struct mimo_vl_model *model,
                                    const char *path,
                                    struct mimo_vl_session **session_out,
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
 * while another thread waits for an answer. Free it with mimo_vl_cancel_token_free, before or after the session.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_session_cancel_handle(const struct mimo_vl_session *session,
                                             struct mimo_vl_cancel_token **cancel_out,
                                             struct mimo_vl_error **error_out);

/**
 * Free the session; NULL is ignored. A stream that is still open goes on and keeps what it needs.
 */
void mimo_vl_session_free(struct mimo_vl_session *session);

/**
 * A batch without questions, of which at most `most` are answered at a time; others wait. Free it with
 * mimo_vl_batch_free; the model may be freed before.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_batch_new(const struct mimo_vl_model *model,
                                 size_t most,
                                 struct mimo_vl_batch **batch_out,
                                 struct mimo_vl_error **error_out);

/**
 * Add a question to those that wait, at any time, and put its number, counted from 0, into `*number_out`. `options` may be
 * NULL for the defaults.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments. What is wrong with the question shows in mimo_vl_batch_next.
 */
mimo_vl_status mimo_vl_batch_add(struct mimo_vl_batch *batch,
                                 const struct mimo_vl_prompt *prompt,
                                 const struct mimo_vl_generate_options *options,
                                 size_t *number_out,
                                 struct mimo_vl_error **error_out);

/**
 * Compute until something happens, and put the number of its question into `*number_out`, its kind into
 * `*kind_out`, and the text of the event into `*text_out`, unless that is NULL; the text lives until the next call for
 * the batch. `*number_out` is SIZE_MAX when all questions are over.
 *
 * Errors: those of the question in `*number_out`, which is over then; the others go on. MIMO_VL_STATUS_CANCELLED for each
 * question when the batch was cancelled. MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_batch_next(struct mimo_vl_batch *batch,
                                  size_t *number_out,
                                  mimo_vl_event_kind *kind_out,
                                  struct mimo_vl_str *text_out,
                                  struct mimo_vl_error **error_out);

/**
 * The box or points of the last event, which live until the next call for the batch; NULL when it was of another kind.
 */
const struct mimo_vl_region *mimo_vl_batch_region(const struct mimo_vl_batch *batch);

/**
 * Take the answer to a question that is over, once. Free it with mimo_vl_answer_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments, and for a question that is not over, failed, or was taken before.
 */
mimo_vl_status mimo_vl_batch_answer(struct mimo_vl_batch *batch,
                                    size_t number,
                                    struct mimo_vl_answer **answer_out,
                                    struct mimo_vl_error **error_out);

/**
 * Give up one question, waiting or being answered; nothing more comes of it. NULL is ignored.
 */
void mimo_vl_batch_remove(struct mimo_vl_batch *batch, size_t number);

/**
 * A handle with which any thread ends everything: each question that is not over fails with
 * MIMO_VL_STATUS_CANCELLED. Free it with mimo_vl_cancel_token_free; the batch may be freed before.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_batch_cancel_handle(const struct mimo_vl_batch *batch,
                                           struct mimo_vl_cancel_token **cancel_out,
                                           struct mimo_vl_error **error_out);

/**
 * Free the batch, and end what is not over; NULL is ignored.
 */
void mimo_vl_batch_free(struct mimo_vl_batch *batch);

/**
 * Tell what a question will take. `options` may be NULL for the defaults. Free the plan with mimo_vl_plan_free.
 *
 * Errors: as mimo_vl_session_ask, as far as they concern prompt, pictures and options, and while another call uses the session; a
 * plan that does not fit is no error.
 */
mimo_vl_status mimo_vl_session_plan(const struct mimo_vl_session *session,
                                    const struct mimo_vl_prompt *prompt,
                                    const struct mimo_vl_generate_options *options,
                                    struct mimo_vl_plan **plan_out,
                                    struct mimo_vl_error **error_out);

/**
 * Give a prompt like `prompt` that keeps to a budget: at most `tokens` tokens of the whole conversation, 0 for what the context
 * holds, and at most `bytes` bytes at the peak, 0 for what is free. With `lower_pixels`, pictures and videos are made smaller
 * until it does. `plan_out` may be NULL; what was made smaller shows in the plan. Free both.
 *
 * Errors: MIMO_VL_STATUS_CONTEXT_TOO_LONG and MIMO_VL_STATUS_MEMORY when it does not fit, and those of mimo_vl_session_plan.
 */
mimo_vl_status mimo_vl_session_fit(const struct mimo_vl_session *session,
                                   const struct mimo_vl_prompt *prompt,
                                   const struct mimo_vl_generate_options *options,
                                   size_t tokens,
                                   uint64_t bytes,
                                   bool lower_pixels,
                                   struct mimo_vl_prompt **prompt_out,
                                   struct mimo_vl_plan **plan_out,
                                   struct mimo_vl_error **error_out);

/**
 * Whether the context and the memory that is free hold it; false for NULL.
 */
bool mimo_vl_plan_fits(const struct mimo_vl_plan *plan);

/**
 * Tokens of the whole conversation with the question; 0 for NULL.
 */
size_t mimo_vl_plan_prompt_tokens(const struct mimo_vl_plan *plan);

/**
 * How many of them the session has seen already; 0 for NULL.
 */
size_t mimo_vl_plan_cached_tokens(const struct mimo_vl_plan *plan);

/**
 * Most tokens that the answer can have; 0 for NULL.
 */
size_t mimo_vl_plan_answer_tokens(const struct mimo_vl_plan *plan);

/**
 * Bytes of keys and values for prompt and answer; 0 for NULL.
 */
uint64_t mimo_vl_plan_cache_bytes(const struct mimo_vl_plan *plan);

/**
 * Bytes of the process at its peak, weights included; 0 for NULL.
 */
uint64_t mimo_vl_plan_peak_bytes(const struct mimo_vl_plan *plan);

/**
 * Bytes that are free now; UINT64_MAX where the system does not tell, for devices with memory of their own, and for NULL.
 */
uint64_t mimo_vl_plan_available_bytes(const struct mimo_vl_plan *plan);

/**
 * Number of parts of the question, texts and pictures; 0 for NULL.
 */
size_t mimo_vl_plan_part_count(const struct mimo_vl_plan *plan);

/**
 * Tokens of part `index`, counted from 0; 0 for NULL and where there is no such part.
 */
size_t mimo_vl_plan_part_tokens(const struct mimo_vl_plan *plan, size_t index);

/**
 * If part `index` is a picture or a video, put the width and height at which the model sees it into `size_out[0..1]`, unless
 * that is NULL. False for texts, for NULL and where there is no such part.
 */
bool mimo_vl_plan_part_size(const struct mimo_vl_plan *plan,
                            size_t index,
                            size_t *size_out);

/**
 * Free the plan; NULL is ignored.
 */
void mimo_vl_plan_free(struct mimo_vl_plan *plan);

/**
 * Read the first action of an answer, with points in pixels of the last picture of the conversation. Free it with
 * mimo_vl_action_free.
 *
 * Errors: MIMO_VL_STATUS_ANSWER when the answer has no action, or one that is none of the twelve or lacks something;
 * MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_answer_action(const struct mimo_vl_answer *answer,
                                     struct mimo_vl_action **action_out,
                                     struct mimo_vl_error **error_out);

/**
 * Read an action from `len` bytes of UTF-8 at `text`, such as its JSON, with points as they stand there. Free it with
 * mimo_vl_action_free.
 *
 * Errors: as mimo_vl_answer_action, and MIMO_VL_STATUS_OPTION for text that is not UTF-8.
 */
mimo_vl_status mimo_vl_action_parse(const char *text,
                                    size_t len,
                                    struct mimo_vl_action **action_out,
                                    struct mimo_vl_error **error_out);

/**
 * What is to be done; MIMO_VL_ACTION_KIND_WAIT for NULL.
 */
mimo_vl_action_kind mimo_vl_action_kind_of(const struct mimo_vl_action *action);

/**
 * If the action has a point, put its x and y into `point_out[0..1]`. False, and nothing is written, where there is none and
 * for NULL arguments.
 */
bool mimo_vl_action_point(const struct mimo_vl_action *action,
                          double *point_out);

/**
 * If the action is a drag, put x and y of where it ends into `point_out[0..1]`; otherwise as mimo_vl_action_point.
 */
bool mimo_vl_action_end_point(const struct mimo_vl_action *action,
                              double *point_out);

/**
 * If the action has a text, put it into `*text_out`, unless that is NULL; it lives as long as the action. False, with an empty
 * text, where there is none and for NULL.
 */
bool mimo_vl_action_text(const struct mimo_vl_action *action,
                         struct mimo_vl_str *text_out);

/**
 * If the action is to scroll, put "up", "down", "left" or "right" into `*direction_out`, unless that is NULL; it lives for
 * ever. False, with an empty text, otherwise. Down shows what is further down.
 */
bool mimo_vl_action_direction(const struct mimo_vl_action *action,
                              struct mimo_vl_str *direction_out);

/**
 * How many keys are to be pressed; 0 for other actions and for NULL.
 */
size_t mimo_vl_action_key_count(const struct mimo_vl_action *action);

/**
 * Put the name of key `index`, counted from 0, into `*key_out`, unless that is NULL; it lives as long as the action. False, with
 * an empty text, where there is no such key and for NULL.
 */
bool mimo_vl_action_key(const struct mimo_vl_action *action,
                        size_t index,
                        struct mimo_vl_str *key_out);

/**
 * Put the action as JSON into `*json_out`, which lives as long as the action. Empty for NULL; nothing happens when `json_out` is
 * NULL.
 */
void mimo_vl_action_json(const struct mimo_vl_action *action,
                         struct mimo_vl_str *json_out);

/**
 * Free the action; NULL is ignored.
 */
void mimo_vl_action_free(struct mimo_vl_action *action);

/**
 * A task of which nothing is done yet; its goal is `len` bytes of UTF-8 at `goal`. Free it with mimo_vl_task_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
 */
mimo_vl_status mimo_vl_task_new(const char *goal,
                                size_t len,
                                struct mimo_vl_task **task_out,
                                struct mimo_vl_error **error_out);

/**
 * Say in `len` bytes of UTF-8 at `text` what the next step is.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
 */
mimo_vl_status mimo_vl_task_set_instruction(struct mimo_vl_task *task,
                                            const char *text,
                                            size_t len,
                                            struct mimo_vl_error **error_out);

/**
 * Offer the `count` actions at `names`, numbers of mimo_vl_action_kind. Without it: click, drag, input, press, wait, finished.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and for another number.
 */
mimo_vl_status mimo_vl_task_set_action_space(struct mimo_vl_task *task,
                                  const int32_t *names,
                                  size_t count,
                                  struct mimo_vl_error **error_out);

/**
 * Add what was done, in pixels of the screenshots, which all have one size, and in words: `len` bytes of UTF-8 at
 * `explanation`, which may be none.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
 */
mimo_vl_status mimo_vl_task_add_step(struct mimo_vl_task *task,
                                     const char *explanation,
                                     size_t len,
                                     const struct mimo_vl_action *action,
                                     struct mimo_vl_error **error_out);

/**
 * The prompt that asks for the next action on `screenshot`, in the words that the model was trained with. Free it with
 * mimo_vl_prompt_free.
 *
 * Errors: MIMO_VL_STATUS_IMAGE when the screenshot cannot be brought to the model's size, MIMO_VL_STATUS_OPTION for NULL
 * arguments.
 */
mimo_vl_status mimo_vl_task_prompt(const struct mimo_vl_task *task,
                                   const struct mimo_vl_image *screenshot,
                                   const struct mimo_vl_model *model,
                                   struct mimo_vl_prompt **prompt_out,
                                   struct mimo_vl_error **error_out);

/**
 * Let answers be one of the actions that the task offers, whatever the model would say.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_generate_options_set_task(struct mimo_vl_generate_options *options,
                                                 const struct mimo_vl_task *task,
                                                 struct mimo_vl_error **error_out);

/**
 * Free the task; NULL is ignored.
 */
void mimo_vl_task_free(struct mimo_vl_task *task);

/**
 * Put the point of the desktop, in its units, that is (x, y) in the screenshot, in pixels, into `point_out[0..1]`. False, and
 * nothing is written, for NULL arguments, and for a screen without a finite place, pixels or a scale above 0.
 */
bool mimo_vl_screen_to_desktop(const struct mimo_vl_screen *screen,
                               double x,
                               double y,
                               double *point_out);

/**
 * Put the point of the screenshot, in pixels, that is (x, y) on the desktop, in its units, into `point_out[0..1]`. False, and
 * nothing is written, where mimo_vl_screen_to_desktop writes nothing.
 */
bool mimo_vl_screen_to_pixels(const struct mimo_vl_screen *screen,
                              double x,
                              double y,
                              double *point_out);

/**
 * Which of the `count` monitors at `screens` the point (x, y) of the desktop lies on; `count` where it lies on none, and for
 * NULL.
 */
size_t mimo_vl_screen_at(const struct mimo_vl_screen *screens,
                         size_t count,
                         double x,
                         double y);

/**
 * The part of a screenshot around (x, y) that is `zoom` times smaller on each side, for a second look at what is small:
 * boxes and points of answers about it stay in pixels of the whole screenshot. At the edges the part is moved inwards. Free it
 * with mimo_vl_image_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments, and when `zoom` is not a finite number from 1 on.
 */
mimo_vl_status mimo_vl_image_zoom_crop(const struct mimo_vl_image *screenshot,
                                    double x,
                                    double y,
                                    double zoom,
                                    struct mimo_vl_image **image_out,
                                    struct mimo_vl_error **error_out);

/**
 * A scroll as the drag that does the same on a screen of `width` by `height` pixels; another action as it is. Free it with
 * mimo_vl_action_free.
 *
 * Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
 */
mimo_vl_status mimo_vl_action_scroll_as_drag(const struct mimo_vl_action *action,
                                             double width,
                                             double height,
                                             struct mimo_vl_action **action_out,
                                             struct mimo_vl_error **error_out);

/**
 * Whether the point (x, y) lies in the box left, top, right, bottom at `edges`, its edges included: the score of a click. False
 * for NULL.
 */
bool mimo_vl_box_contains(const double *edges,
                          double x,
                          double y);

/**
 * Stop the answer that the session is giving, from any thread. The call that does the work ends with
 * MIMO_VL_STATUS_CANCELLED at its next check, and the session is as it was before the question. When the session is
 * not answering there is nothing to stop, and the next question is not affected.
 *
 * Threads: any number at a time. NULL is ignored.
 */
void mimo_vl_cancel_token_cancel(const struct mimo_vl_cancel_token *cancel);

/**
 * Free the handle, which stops nothing; NULL is ignored.
 */
void mimo_vl_cancel_token_free(struct mimo_vl_cancel_token *cancel);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MIMO_VL_H */
