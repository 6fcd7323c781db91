/* A client of libmimo_vl that passes invalid arguments: each gives its status and a message that names the cause, and
 * the handles stay usable.
 *
 *     errors CHECKPOINT IMAGE [BROKEN [hub]]
 *
 * BROKEN is a checkpoint without some tensors; "hub" means that the library can load from a hub, and is offline. */
#include <math.h>

#include "check.h"

static void invalid_load_options_are_errors(void) {
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
    FAILS(mimo_vl_load_options_set_weights(NULL, MIMO_VL_WEIGHT_FORMAT_F32, &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_load_options_set_kv_cache_dtype(options, 3, &error), MIMO_VL_STATUS_OPTION, "kv_cache");
    FAILS(mimo_vl_load_options_set_kv_cache_dtype(NULL, MIMO_VL_KV_CACHE_DTYPE_F16, &error), MIMO_VL_STATUS_OPTION,
          "options");
    FAILS(mimo_vl_load_options_set_thinking_style(options, 3, &error), MIMO_VL_STATUS_OPTION, "thinking_style");
    FAILS(mimo_vl_load_options_set_thinking_style(NULL, MIMO_VL_THINKING_STYLE_TAG, &error), MIMO_VL_STATUS_OPTION,
          "options");
    OK(mimo_vl_load_options_set_thinking_style(options, MIMO_VL_THINKING_STYLE_PREFILL, &error));
    OK(mimo_vl_load_options_set_device(options, "abacus:0", &error));
    FAILS(mimo_vl_model_load(checkpoint, options, &model, &error), MIMO_VL_STATUS_DEVICE, "abacus:0");
    CHECK(model == NULL);
    OK(mimo_vl_load_options_set_device(options, "cpu", &error));
    OK(mimo_vl_load_options_set_max_context(options, 0, &error));
    FAILS(mimo_vl_model_load(checkpoint, options, &model, &error), MIMO_VL_STATUS_OPTION, "max_context");
    OK(mimo_vl_load_options_set_max_context(options, 64, &error));
    OK(mimo_vl_load_options_set_threads(options, 0, &error));
    FAILS(mimo_vl_model_load(checkpoint, options, &model, &error), MIMO_VL_STATUS_OPTION, "threads");
    mimo_vl_load_options_free(options);
}

static void invalid_images_are_errors(void) {
    static const uint8_t pixels[12] = {0};
    mimo_vl_error *error = NULL;
    mimo_vl_image *image = (mimo_vl_image *)&error;
    FAILS(mimo_vl_image_from_path(NULL, &image, &error), MIMO_VL_STATUS_OPTION, "path");
    CHECK(image == NULL);
    FAILS(mimo_vl_image_from_path("no/such/image.png", &image, &error), MIMO_VL_STATUS_IO, "no/such/image.png");
    FAILS(mimo_vl_image_from_path(image_path, NULL, &error), MIMO_VL_STATUS_OPTION, "image_out");
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

static void invalid_prompts_are_errors(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    mimo_vl_generate_options *options = max_tokens(4);
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

    /* Invalid texts were not added to the prompt, and the session is still usable. */
    FAILS(mimo_vl_session_ask(session, prompt, NULL, &answer, &error), MIMO_VL_STATUS_PROMPT, "empty");
    OK(mimo_vl_prompt_set_system(prompt, "Be brief.", strlen("Be brief."), &error));
    OK(mimo_vl_prompt_add_text(prompt, "<|image_pad|> is text", strlen("<|image_pad|> is text"), &error));
    OK(mimo_vl_prompt_add_text(prompt, NULL, 0, &error));
    OK(mimo_vl_generate_options_set_temperature(options, -1.0f, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "temperature");
    OK(mimo_vl_generate_options_set_temperature(options, 0.7f, &error));
    OK(mimo_vl_generate_options_set_top_k(options, 20, &error));
    OK(mimo_vl_generate_options_set_top_p(options, 1.5f, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "top_p");
    OK(mimo_vl_generate_options_set_top_p(options, 0.9f, &error));
    OK(mimo_vl_generate_options_set_min_p(options, 0.05f, &error));
    OK(mimo_vl_generate_options_set_repetition_penalty(options, 1.1f, &error));
    OK(mimo_vl_generate_options_set_seed(options, 7, &error));
    OK(mimo_vl_generate_options_set_num_draft_tokens(options, 8, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "draft");
    OK(mimo_vl_generate_options_set_num_draft_tokens(options, 3, &error));
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);

    FAILS(mimo_vl_session_new(NULL, &session, &error), MIMO_VL_STATUS_OPTION, "model");
    CHECK(session == NULL);
    FAILS(mimo_vl_session_ask(NULL, prompt, NULL, &answer, &error), MIMO_VL_STATUS_OPTION, "session");
    session = new_session(model);
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

static void null_handles_are_safe(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_cancel_token *cancel;
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
    FAILS(mimo_vl_image_set_min_pixels(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "image");
    FAILS(mimo_vl_image_set_max_pixels(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "image");
    FAILS(mimo_vl_load_options_set_max_context(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_load_options_set_threads(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_generate_options_set_num_draft_tokens(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_generate_options_set_max_tokens(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_generate_options_set_seed(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "options");
    mimo_vl_cancel_token_cancel(NULL);
    mimo_vl_error_free(NULL);
    mimo_vl_load_options_free(NULL);
    mimo_vl_generate_options_free(NULL);
    mimo_vl_model_free(NULL);
    mimo_vl_image_free(NULL);
    mimo_vl_prompt_free(NULL);
    mimo_vl_session_free(NULL);
    mimo_vl_stream_free(NULL);
    mimo_vl_answer_free(NULL);
    mimo_vl_cancel_token_free(NULL);
}

static void broken_checkpoints_are_errors(const char *broken, bool hub) {
    mimo_vl_error *error = NULL;
    mimo_vl_model *model;
    FAILS(mimo_vl_model_load(broken, NULL, &model, &error), MIMO_VL_STATUS_TENSOR, "model.layers");
    if (hub) {
        FAILS(mimo_vl_model_load("nobody/nothing", NULL, &model, &error), MIMO_VL_STATUS_HUB, "nobody/nothing");
    }
    FAILS(mimo_vl_model_load("/", NULL, &model, &error), MIMO_VL_STATUS_CHECKPOINT, "/");
}

int main(int count, char **arguments) {
    read_arguments(count, arguments);
    if (count > 3) {
        broken_checkpoints_are_errors(arguments[3], count > 4);
    }
    null_handles_are_safe();
    invalid_load_options_are_errors();
    invalid_images_are_errors();
    mimo_vl_model *model = load_model();
    invalid_prompts_are_errors(model);
    mimo_vl_model_free(model);
    return 0;
}
