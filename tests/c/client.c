/* A client of libmimo_vl that uses all of include/mimo_vl.h, rightly and wrongly.
 *
 *     client CHECKPOINT PICTURE
 *
 * It prints its answer about the picture, ends with status 0 when everything is as the header says, and stops at the
 * first thing that is not. It is written to be run under the address and undefined-behaviour sanitizers too. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimo_vl.h"

#define CHECK(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), exit(1)))

static const char QUESTION[] = "What is in the picture?";
static const char *checkpoint;
static const char *picture;

/* A call that must succeed. */
static void ok_at(int line, mimo_vl_status status, mimo_vl_error **error) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(*error, &message);
        fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, line, (int)status, message.data);
        exit(1);
    }
    CHECK(*error == NULL);
}
#define OK(call) ok_at(__LINE__, (call), &error)

/* A call that must fail with `expected` and a message that names `word`; frees the error. */
static void fails_at(int line, mimo_vl_status status, mimo_vl_status expected, const char *word, mimo_vl_error **error) {
    mimo_vl_str message;
    mimo_vl_error_message(*error, &message);
    if (status != expected || *error == NULL || mimo_vl_error_code(*error) != expected ||
        message.data[message.len] != '\0' || strlen(message.data) != message.len || strstr(message.data, word) == NULL) {
        fprintf(stderr, "%s:%d: status %d instead of %d, or \"%s\" does not name \"%s\"\n", __FILE__, line, (int)status,
                (int)expected, message.data, word);
        exit(1);
    }
    mimo_vl_error_free(*error);
    *error = NULL;
}
#define FAILS(call, status, word) fails_at(__LINE__, (call), (status), (word), &error)

static mimo_vl_model *load(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_model *model;
    OK(mimo_vl_model_load(checkpoint, NULL, &model, &error));
    return model;
}

static mimo_vl_session *open_session(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session;
    OK(mimo_vl_session_new(model, &session, &error));
    return session;
}

static mimo_vl_prompt *ask_about(const mimo_vl_image *image) {
    mimo_vl_error *error = NULL;
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    if (image != NULL) {
        OK(mimo_vl_prompt_add_image(prompt, image, &error));
    }
    OK(mimo_vl_prompt_add_text(prompt, QUESTION, strlen(QUESTION), &error));
    OK(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
    return prompt;
}

static mimo_vl_generate_options *at_most(size_t tokens) {
    mimo_vl_generate_options *options = mimo_vl_generate_options_new();
    mimo_vl_generate_options_set_max_tokens(options, tokens);
    return options;
}

/* The answer of a fresh session about an image, as a string that the caller frees. */
static char *answer_about(const mimo_vl_model *model, const mimo_vl_image *image) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = open_session(model);
    mimo_vl_prompt *prompt = ask_about(image);
    mimo_vl_generate_options *options = at_most(12);
    mimo_vl_answer *answer;
    mimo_vl_str text;
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    mimo_vl_answer_text(answer, &text);
    CHECK(text.data[text.len] == '\0');
    char *copy = malloc(text.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, text.data, text.len + 1);
    mimo_vl_generate_options_free(options);
    mimo_vl_answer_free(answer);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    return copy;
}

static void the_build_describes_itself(void) {
    CHECK(mimo_vl_abi_version() == MIMO_VL_ABI_VERSION);
    CHECK(strlen(mimo_vl_version()) >= strlen("0.0.0"));
    CHECK(strstr(mimo_vl_devices(), "cpu") != NULL);
}

/* Path, bytes and raw pixels are three ways to one picture. */
static void images_come_from_anywhere(const mimo_vl_model *model) {
    enum { WIDTH = 60, HEIGHT = 45, STRIDE = 3 * WIDTH + 12, HEAD = 54 };
    static uint8_t rgb[STRIDE * HEIGHT];
    static uint8_t bmp[HEAD + 3 * WIDTH * HEIGHT] = {'B', 'M'};
    mimo_vl_error *error = NULL;
    mimo_vl_image *raw, *decoded, *opened;
    /* The head of a BMP file: where the pixels start, size of the second head, width, height, planes, bits. */
    bmp[2] = sizeof bmp & 255, bmp[3] = sizeof bmp >> 8;
    bmp[10] = HEAD, bmp[14] = 40, bmp[18] = WIDTH, bmp[22] = HEIGHT, bmp[26] = 1, bmp[28] = 24;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            uint8_t *from = rgb + y * STRIDE + 3 * x, *to = bmp + HEAD + 3 * ((HEIGHT - 1 - y) * WIDTH + x);
            to[2] = from[0] = (uint8_t)(4 * x);
            to[1] = from[1] = (uint8_t)(5 * y);
            to[0] = from[2] = (uint8_t)(x ^ y);
        }
    }
    OK(mimo_vl_image_from_rgb(WIDTH, HEIGHT, STRIDE, rgb, STRIDE * (HEIGHT - 1) + 3 * WIDTH, &raw, &error));
    OK(mimo_vl_image_from_bytes(bmp, sizeof bmp, &decoded, &error));
    CHECK(mimo_vl_image_width(raw) == WIDTH && mimo_vl_image_height(raw) == HEIGHT);
    CHECK(mimo_vl_image_width(decoded) == WIDTH && mimo_vl_image_height(decoded) == HEIGHT);
    memset(rgb, 0, sizeof rgb);
    char *first = answer_about(model, raw), *second = answer_about(model, decoded);
    CHECK(strcmp(first, second) == 0);
    free(first);
    free(second);

    OK(mimo_vl_image_from_path(picture, &opened, &error));
    char *whole = answer_about(model, opened);
    printf("%s\n", whole);
    mimo_vl_image_set_min_pixels(opened, 28 * 28);
    mimo_vl_image_set_max_pixels(opened, 56 * 56);
    free(answer_about(model, opened));
    free(whole);
    mimo_vl_image_free(opened);
    mimo_vl_image_free(decoded);
    mimo_vl_image_free(raw);
}

static void a_stream_says_what_ask_says(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = open_session(model);
    mimo_vl_prompt *prompt = ask_about(NULL);
    mimo_vl_generate_options *options = at_most(12);
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text, whole, thinking;
    char read[4096] = "", thought[4096] = "";

    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    /* The session is busy, and says so. */
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "session");
    CHECK(answer == NULL);
    FAILS(mimo_vl_session_reset(session, &error), MIMO_VL_STATUS_OPTION, "session");
    do {
        OK(mimo_vl_stream_next(stream, &kind, &text, &error));
        CHECK(kind == MIMO_VL_EVENT_KIND_END ? text.len == 0 : text.len > 0);
        strncat(kind == MIMO_VL_EVENT_KIND_THINKING ? thought : read, text.data, text.len);
    } while (kind != MIMO_VL_EVENT_KIND_END);
    OK(mimo_vl_stream_next(stream, &kind, &text, &error));
    CHECK(kind == MIMO_VL_EVENT_KIND_END && text.len == 0);
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    mimo_vl_answer_text(answer, &whole);
    CHECK(strcmp(read, whole.data) == 0);
    CHECK(mimo_vl_answer_thinking(answer, &thinking) == (thought[0] != '\0'));
    CHECK(strcmp(thought, thinking.data) == 0);
    CHECK(mimo_vl_answer_tokens(answer) >= 1 && mimo_vl_answer_tokens(answer) <= 12);
    CHECK(mimo_vl_answer_prompt_tokens(answer) > 5);
    CHECK(mimo_vl_answer_stop_reason(answer) ==
          (mimo_vl_answer_tokens(answer) == 12 ? MIMO_VL_STOP_REASON_MAX_TOKENS : MIMO_VL_STOP_REASON_END_OF_TEXT));
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_STAGE_LOAD) > 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_STAGE_PREPROCESS) >= 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_STAGE_ENCODE) >= 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_STAGE_PREFILL) > 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_STAGE_DECODE) > 0);
    CHECK(isnan(mimo_vl_answer_seconds(answer, 99)));
    CHECK(mimo_vl_answer_decode_tokens_per_second(answer) >= 0);
    mimo_vl_answer_free(answer);
    FAILS(mimo_vl_stream_finish(stream, &answer, &error), MIMO_VL_STATUS_OPTION, "stream");

    /* The finished stream has let go of the session. */
    OK(mimo_vl_session_reset(session, &error));
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    mimo_vl_answer_text(answer, &whole);
    CHECK(strcmp(read, whole.data) == 0);
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
}

/* A stream that is freed early leaves no trace; one that is stopped stays in the conversation. */
static void streams_end_early(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = open_session(model);
    mimo_vl_prompt *prompt = ask_about(NULL);
    mimo_vl_generate_options *options = at_most(12);
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    size_t before = mimo_vl_answer_prompt_tokens(answer);
    mimo_vl_answer_free(answer);
    OK(mimo_vl_session_reset(session, &error));

    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    OK(mimo_vl_stream_next(stream, &kind, &text, &error));
    mimo_vl_stream_free(stream);
    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    OK(mimo_vl_stream_next(stream, &kind, &text, &error));
    OK(mimo_vl_stream_stop(stream, &error));
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    CHECK(mimo_vl_answer_prompt_tokens(answer) == before);
    CHECK(mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_CANCELLED);
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);

    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    CHECK(mimo_vl_answer_prompt_tokens(answer) > before);
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
}

static void *cancel_it(void *cancel) {
    mimo_vl_cancel_cancel(cancel);
    return NULL;
}

static void another_thread_cancels(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = open_session(model);
    mimo_vl_prompt *prompt = ask_about(NULL);
    mimo_vl_generate_options *options = at_most(2000);
    mimo_vl_generate_options *few = at_most(4);
    mimo_vl_cancel *cancel;
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    pthread_t thread;

    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    /* Also while the session is busy. */
    OK(mimo_vl_session_cancel_handle(session, &cancel, &error));
    CHECK(pthread_create(&thread, NULL, cancel_it, cancel) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    mimo_vl_status status = MIMO_VL_STATUS_OK;
    for (int events = 0; status == MIMO_VL_STATUS_OK; events++) {
        CHECK(events < 10);
        status = mimo_vl_stream_next(stream, &kind, &text, &error);
    }
    FAILS(status, MIMO_VL_STATUS_CANCELLED, "cancelled");
    FAILS(mimo_vl_stream_next(stream, &kind, &text, &error), MIMO_VL_STATUS_OPTION, "stream");
    FAILS(mimo_vl_stream_stop(stream, &error), MIMO_VL_STATUS_OPTION, "stream");
    FAILS(mimo_vl_stream_finish(stream, &answer, &error), MIMO_VL_STATUS_OPTION, "stream");
    CHECK(answer == NULL);

    /* The next question is not affected, and the handle outlives its session. */
    mimo_vl_cancel_cancel(cancel);
    OK(mimo_vl_session_ask(session, prompt, few, &answer, &error));
    mimo_vl_session_free(session);
    mimo_vl_cancel_cancel(cancel);
    mimo_vl_cancel_free(cancel);
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
    mimo_vl_generate_options_free(few);
}

/* Model and session go while the stream goes on, and the answer outlives all. */
static void handles_are_freed_in_any_order(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_model *model = load();
    mimo_vl_session *session = open_session(model);
    mimo_vl_model_free(model);
    mimo_vl_image *image;
    OK(mimo_vl_image_from_path(picture, &image, &error));
    mimo_vl_prompt *prompt = ask_about(image);
    mimo_vl_image_free(image);
    mimo_vl_generate_options *options = at_most(5);
    mimo_vl_stream *stream, *unfinished;
    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
    mimo_vl_answer *answer;
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    mimo_vl_stream_free(stream);
    mimo_vl_str text;
    mimo_vl_answer_text(answer, &text);
    CHECK(text.data != NULL && strlen(text.data) == text.len);
    mimo_vl_answer_free(answer);

    model = load();
    session = open_session(model);
    prompt = ask_about(NULL);
    OK(mimo_vl_session_stream(session, prompt, NULL, &unfinished, &error));
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_stream_free(unfinished);
}

static void *answer_in_a_thread(void *model) {
    return answer_about(model, NULL);
}

static void threads_share_a_model(mimo_vl_model *model) {
    pthread_t threads[3];
    char *expected = answer_about(model, NULL);
    for (int index = 0; index < 3; index++) {
        CHECK(pthread_create(&threads[index], NULL, answer_in_a_thread, model) == 0);
    }
    for (int index = 0; index < 3; index++) {
        void *answer;
        CHECK(pthread_join(threads[index], &answer) == 0);
        CHECK(strcmp(answer, expected) == 0);
        free(answer);
    }
    free(expected);
}

static void bad_loads_are_refused(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_model *model = (mimo_vl_model *)&error;
    mimo_vl_load_options *options = mimo_vl_load_options_new();
    FAILS(mimo_vl_model_load(NULL, options, &model, &error), MIMO_VL_STATUS_OPTION, "path");
    CHECK(model == NULL);
    FAILS(mimo_vl_model_load(checkpoint, NULL, NULL, &error), MIMO_VL_STATUS_OPTION, "model_out");
    FAILS(mimo_vl_model_load("no/such/folder", NULL, &model, &error), MIMO_VL_STATUS_IO, "no/such/folder");
    CHECK(mimo_vl_model_load("no/such/folder", NULL, &model, NULL) == MIMO_VL_STATUS_IO && model == NULL);

    FAILS(mimo_vl_load_options_set_device(options, NULL, &error), MIMO_VL_STATUS_OPTION, "device");
    FAILS(mimo_vl_load_options_set_device(NULL, "cpu", &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_load_options_set_device(options, "cp\xff", &error), MIMO_VL_STATUS_OPTION, "UTF-8");
    FAILS(mimo_vl_load_options_set_weights(options, 99, &error), MIMO_VL_STATUS_OPTION, "weights");
    FAILS(mimo_vl_load_options_set_weights(NULL, MIMO_VL_WEIGHTS_F32, &error), MIMO_VL_STATUS_OPTION, "options");
    OK(mimo_vl_load_options_set_device(options, "abacus:0", &error));
    FAILS(mimo_vl_model_load(checkpoint, options, &model, &error), MIMO_VL_STATUS_DEVICE, "abacus:0");
    CHECK(model == NULL);
    OK(mimo_vl_load_options_set_device(options, "cpu", &error));
    mimo_vl_load_options_set_max_context(options, 0);
    FAILS(mimo_vl_model_load(checkpoint, options, &model, &error), MIMO_VL_STATUS_OPTION, "max_context");
    mimo_vl_load_options_free(options);
}

static void options_of_loading_count(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_load_options *options = mimo_vl_load_options_new();
    mimo_vl_model *model;
    mimo_vl_str device;
    OK(mimo_vl_load_options_set_device(options, "cpu", &error));
    OK(mimo_vl_load_options_set_weights(options, MIMO_VL_WEIGHTS_F32, &error));
    mimo_vl_load_options_set_max_context(options, 4);
    OK(mimo_vl_model_load(checkpoint, options, &model, &error));
    mimo_vl_load_options_free(options);
    mimo_vl_model_device(model, &device);
    CHECK(strcmp(device.data, "cpu") == 0 && device.len == 3);
    mimo_vl_session *session = open_session(model);
    mimo_vl_prompt *prompt = ask_about(NULL);
    mimo_vl_answer *answer;
    FAILS(mimo_vl_session_ask(session, prompt, NULL, &answer, &error), MIMO_VL_STATUS_CONTEXT_TOO_LONG, "tokens");
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
}

static void bad_images_are_refused(void) {
    static const uint8_t pixels[12] = {0};
    mimo_vl_error *error = NULL;
    mimo_vl_image *image = (mimo_vl_image *)&error;
    FAILS(mimo_vl_image_from_path(NULL, &image, &error), MIMO_VL_STATUS_OPTION, "path");
    CHECK(image == NULL);
    FAILS(mimo_vl_image_from_path("no/such/picture.png", &image, &error), MIMO_VL_STATUS_IO, "no/such/picture.png");
    FAILS(mimo_vl_image_from_path(picture, NULL, &error), MIMO_VL_STATUS_OPTION, "image_out");
    FAILS(mimo_vl_image_from_bytes(pixels, sizeof pixels, &image, &error), MIMO_VL_STATUS_IMAGE, "image");
    FAILS(mimo_vl_image_from_bytes(pixels, 0, &image, &error), MIMO_VL_STATUS_IMAGE, "image");
    FAILS(mimo_vl_image_from_bytes(NULL, 12, &image, &error), MIMO_VL_STATUS_OPTION, "data");
    FAILS(mimo_vl_image_from_bytes(pixels, SIZE_MAX, &image, &error), MIMO_VL_STATUS_OPTION, "data");
    FAILS(mimo_vl_image_from_rgb(2, 2, 6, pixels, 11, &image, &error), MIMO_VL_STATUS_IMAGE, "too few");
    FAILS(mimo_vl_image_from_rgb(2, 2, 5, pixels, 12, &image, &error), MIMO_VL_STATUS_IMAGE, "stride");
    FAILS(mimo_vl_image_from_rgb(0, 2, 6, pixels, 12, &image, &error), MIMO_VL_STATUS_IMAGE, "0x2");
    FAILS(mimo_vl_image_from_rgb(2, 2, SIZE_MAX, pixels, 12, &image, &error), MIMO_VL_STATUS_IMAGE, "stride");
    FAILS(mimo_vl_image_from_rgb(2, 2, 6, NULL, 12, &image, &error), MIMO_VL_STATUS_OPTION, "pixels");
    CHECK(mimo_vl_image_from_rgb(2, 2, 6, NULL, 12, &image, NULL) == MIMO_VL_STATUS_OPTION && image == NULL);
}

static void bad_prompts_are_refused(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = open_session(model);
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    mimo_vl_generate_options *options = at_most(4);
    mimo_vl_answer *answer;
    mimo_vl_stream *stream;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    FAILS(mimo_vl_session_ask(session, prompt, NULL, &answer, &error), MIMO_VL_STATUS_PROMPT, "empty");
    FAILS(mimo_vl_session_stream(session, prompt, NULL, &stream, &error), MIMO_VL_STATUS_PROMPT, "empty");
    CHECK(answer == NULL && stream == NULL);
    FAILS(mimo_vl_prompt_add_text(prompt, "ab\xc3", 3, &error), MIMO_VL_STATUS_OPTION, "UTF-8");
    FAILS(mimo_vl_prompt_add_text(prompt, NULL, 3, &error), MIMO_VL_STATUS_OPTION, "text");
    FAILS(mimo_vl_prompt_add_text(NULL, "a", 1, &error), MIMO_VL_STATUS_OPTION, "prompt");
    FAILS(mimo_vl_prompt_set_system(prompt, "\xff", 1, &error), MIMO_VL_STATUS_OPTION, "UTF-8");
    FAILS(mimo_vl_prompt_set_system(NULL, "a", 1, &error), MIMO_VL_STATUS_OPTION, "prompt");
    FAILS(mimo_vl_prompt_add_image(prompt, NULL, &error), MIMO_VL_STATUS_OPTION, "image");
    FAILS(mimo_vl_prompt_set_thinking(prompt, -1, &error), MIMO_VL_STATUS_OPTION, "thinking");
    FAILS(mimo_vl_prompt_set_thinking(NULL, MIMO_VL_THINKING_ON, &error), MIMO_VL_STATUS_OPTION, "prompt");

    /* Refused texts have left nothing behind, and errors have not harmed the session. */
    FAILS(mimo_vl_session_ask(session, prompt, NULL, &answer, &error), MIMO_VL_STATUS_PROMPT, "empty");
    OK(mimo_vl_prompt_set_system(prompt, "Be brief.", strlen("Be brief."), &error));
    OK(mimo_vl_prompt_add_text(prompt, "<|image_pad|> is text", strlen("<|image_pad|> is text"), &error));
    OK(mimo_vl_prompt_add_text(prompt, NULL, 0, &error));
    mimo_vl_generate_options_set_temperature(options, -1.0f);
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "temperature");
    mimo_vl_generate_options_set_temperature(options, 0.7f);
    mimo_vl_generate_options_set_top_k(options, 20);
    mimo_vl_generate_options_set_top_p(options, 1.5f);
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "top_p");
    mimo_vl_generate_options_set_top_p(options, 0.9f);
    mimo_vl_generate_options_set_min_p(options, 0.05f);
    mimo_vl_generate_options_set_repetition_penalty(options, 1.1f);
    mimo_vl_generate_options_set_seed(options, 7);
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);

    FAILS(mimo_vl_session_new(NULL, &session, &error), MIMO_VL_STATUS_OPTION, "model");
    CHECK(session == NULL);
    FAILS(mimo_vl_session_ask(NULL, prompt, NULL, &answer, &error), MIMO_VL_STATUS_OPTION, "session");
    session = open_session(model);
    FAILS(mimo_vl_session_ask(session, NULL, NULL, &answer, &error), MIMO_VL_STATUS_OPTION, "prompt");
    FAILS(mimo_vl_session_ask(session, prompt, NULL, NULL, &error), MIMO_VL_STATUS_OPTION, "answer_out");
    FAILS(mimo_vl_session_stream(session, prompt, NULL, NULL, &error), MIMO_VL_STATUS_OPTION, "stream_out");
    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    FAILS(mimo_vl_stream_next(stream, NULL, &text, &error), MIMO_VL_STATUS_OPTION, "kind_out");
    FAILS(mimo_vl_stream_next(stream, &kind, NULL, &error), MIMO_VL_STATUS_OPTION, "text_out");
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
}

static void null_handles_do_no_harm(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_cancel *cancel;
    mimo_vl_answer *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    CHECK(mimo_vl_error_code(NULL) == MIMO_VL_STATUS_OK);
    mimo_vl_error_message(NULL, &text);
    CHECK(text.data != NULL && text.len == 0 && text.data[0] == '\0');
    mimo_vl_error_message(NULL, NULL);
    mimo_vl_model_device(NULL, &text);
    CHECK(text.len == 0);
    mimo_vl_answer_text(NULL, &text);
    CHECK(text.len == 0);
    CHECK(!mimo_vl_answer_thinking(NULL, NULL));
    CHECK(mimo_vl_answer_stop_reason(NULL) == MIMO_VL_STOP_REASON_CANCELLED);
    CHECK(mimo_vl_answer_tokens(NULL) == 0 && mimo_vl_answer_prompt_tokens(NULL) == 0);
    CHECK(isnan(mimo_vl_answer_seconds(NULL, MIMO_VL_STAGE_LOAD)));
    CHECK(isnan(mimo_vl_answer_decode_tokens_per_second(NULL)));
    CHECK(mimo_vl_image_width(NULL) == 0 && mimo_vl_image_height(NULL) == 0);
    FAILS(mimo_vl_stream_next(NULL, &kind, &text, &error), MIMO_VL_STATUS_OPTION, "stream");
    FAILS(mimo_vl_stream_stop(NULL, &error), MIMO_VL_STATUS_OPTION, "stream");
    FAILS(mimo_vl_stream_finish(NULL, &answer, &error), MIMO_VL_STATUS_OPTION, "stream");
    FAILS(mimo_vl_session_reset(NULL, &error), MIMO_VL_STATUS_OPTION, "session");
    FAILS(mimo_vl_session_cancel_handle(NULL, &cancel, &error), MIMO_VL_STATUS_OPTION, "session");
    mimo_vl_image_set_min_pixels(NULL, 1);
    mimo_vl_image_set_max_pixels(NULL, 1);
    mimo_vl_load_options_set_max_context(NULL, 1);
    mimo_vl_generate_options_set_max_tokens(NULL, 1);
    mimo_vl_generate_options_set_seed(NULL, 1);
    mimo_vl_cancel_cancel(NULL);
    mimo_vl_error_free(NULL);
    mimo_vl_load_options_free(NULL);
    mimo_vl_generate_options_free(NULL);
    mimo_vl_model_free(NULL);
    mimo_vl_image_free(NULL);
    mimo_vl_prompt_free(NULL);
    mimo_vl_session_free(NULL);
    mimo_vl_stream_free(NULL);
    mimo_vl_answer_free(NULL);
    mimo_vl_cancel_free(NULL);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s CHECKPOINT PICTURE\n", arguments[0]);
        return 2;
    }
    checkpoint = arguments[1];
    picture = arguments[2];
    the_build_describes_itself();
    null_handles_do_no_harm();
    bad_loads_are_refused();
    bad_images_are_refused();
    options_of_loading_count();
    mimo_vl_model *model = load();
    images_come_from_anywhere(model);
    a_stream_says_what_ask_says(model);
    streams_end_early(model);
    another_thread_cancels(model);
    bad_prompts_are_refused(model);
    threads_share_a_model(model);
    mimo_vl_model_free(model);
    handles_are_freed_in_any_order();
    return 0;
}
