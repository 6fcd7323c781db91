"""The texts of the demo in English and Chinese."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    welcome: str
    about: str
    placeholder: str
    new_chat: str
    settings: str
    think: str
    temperature: str
    temperature_info: str
    max_tokens: str
    max_tokens_info: str
    thinking: str
    waiting: str
    reading: str
    timings: str
    cut_off: str
    context_full: str
    loop: str
    stopped: str
    busy: str
    connection_lost: str
    session_lost: str
    empty: str
    action: str


ENGLISH = Words(
    welcome="Ask about images or a video",
    about="A conversation keeps its images: ask further questions without sending them again.",
    placeholder="Write a message; the paper clip adds images or a video",
    new_chat="New chat",
    settings="Settings",
    think="Think before answering",
    temperature="Temperature",
    temperature_info="0 always takes the most likely token",
    max_tokens="Maximum tokens",
    max_tokens_info="of an answer, thinking included",
    thinking="Thinking",
    waiting="Waiting: another user is being answered",
    reading="Reading the message",
    timings=(
        "{tokens} tokens · {speed:.1f} tokens/s · encode {encode:.2f} s · "
        "prefill {prefill:.2f} s ({new} tokens, {cached} cached)"
    ),
    cut_off="The answer was cut off at the maximum number of tokens",
    context_full="The answer was cut off: the context is full",
    loop="The answer was ended because it repeated itself",
    stopped="Stopped. The model keeps the images of this message, not its text and answer",
    busy="The previous answer is not finished",
    connection_lost="The connection was lost. The model does not know the messages above",
    session_lost="Internal error. The model does not know the messages above",
    empty="The answer is empty",
    action="Action: {}",
)

CHINESE = Words(
    welcome="就图片或视频提问",
    about="对话会记住图片：继续提问时无需重新上传。",
    placeholder="输入问题；点击回形针可添加图片或视频",
    new_chat="新对话",
    settings="设置",
    think="先思考再回答",
    temperature="温度",
    temperature_info="为 0 时总是取最可能的词",
    max_tokens="最大 token 数",
    max_tokens_info="包括思考过程",
    thinking="思考过程",
    waiting="排队中：正在回答其他人的问题",
    reading="正在读取问题",
    timings=(
        "{tokens} 个 token · {speed:.1f} token/秒 · 图像编码 {encode:.2f} 秒 · "
        "预填充 {prefill:.2f} 秒（{new} 个 token，另有 {cached} 个已缓存）"
    ),
    cut_off="回答被截断：已达到最大 token 数",
    context_full="回答被截断：上下文已满",
    loop="回答陷入重复，已结束",
    stopped="已停止。模型不会记住这一问一答，只保留其中的图片",
    busy="上一个回答还没有写完",
    connection_lost="连接曾中断，模型已忘记上面的对话",
    session_lost="模型已忘记上面的对话",
    empty="模型没有给出回答",
    action="操作：{}",
)

LANGUAGES = {"English": ENGLISH, "中文": CHINESE}
