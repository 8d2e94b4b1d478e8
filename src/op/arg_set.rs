//! From an op's operands by name to the fields of its `Args`, and back.

use crate::error::SpecError;

/// Declares an op's `Args`: one field an operand, and the two directions between fields and names.
macro_rules! args {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$meta])*
        pub struct $name<'a, B: $crate::backend::Backend> {
            $($(#[$fmeta])* pub $field: $crate::op::args!(@type $kind 'a B),)*
        }

        $crate::op::args!(@new $name [] [] $($field $kind)*);

        impl<'a, B: $crate::backend::Backend> $crate::op::ArgSet<'a, B> for $name<'a, B> {
            fn infos(&self) -> $crate::op::ArgInfos {
                let mut infos = $crate::op::ArgInfos::new();
                $(infos.push((stringify!($field), $crate::op::args!(@info $kind (&self.$field))));)*
                infos
            }

            fn views(&self) -> $crate::op::ArgViews<B> {
                let mut views = $crate::op::ArgViews::<B>::new();
                $(views.push((stringify!($field), $crate::op::args!(@view $kind (&self.$field))));)*
                views
            }

            fn assemble(
                op: &'static str,
                views: &mut impl $crate::op::NamedViews<'a, B>,
            ) -> Result<Self, $crate::error::SpecError> {
                Ok($name { $($field: $crate::op::args!(@take $kind op views (stringify!($field))),)* })
            }
        }
    };
    // Sorts the fields into those that every spec asks for and the others.
    (@new $name:ident [$($need:tt)*] [$($other:ident)*] $field:ident input $($rest:tt)*) => {
        $crate::op::args!(@new $name [$($need)* ($field input)] [$($other)*] $($rest)*);
    };
    (@new $name:ident [$($need:tt)*] [$($other:ident)*] $field:ident output $($rest:tt)*) => {
        $crate::op::args!(@new $name [$($need)* ($field output)] [$($other)*] $($rest)*);
    };
    (@new $name:ident [$($need:tt)*] [$($other:ident)*] $field:ident $kind:ident $($rest:tt)*) => {
        $crate::op::args!(@new $name [$($need)*] [$($other)* $field] $($rest)*);
    };
    (@new $name:ident [$(($field:ident $kind:ident))*] [$($other:ident)*]) => {
        impl<'a, B: $crate::backend::Backend> $name<'a, B> {
            /// The operands that every spec asks for; the others are absent and can be set by name.
            #[allow(clippy::too_many_arguments)]
            pub fn new($($field: $crate::op::args!(@type $kind 'a B)),*) -> Self {
                $name { $($field,)* $($other: None,)* }
            }
        }
    };
    (@type input $a:lifetime $b:ident) => { $crate::tensor::View<$a, $b> };
    (@type optional_input $a:lifetime $b:ident) => { Option<$crate::tensor::View<$a, $b>> };
    (@type output $a:lifetime $b:ident) => { $crate::tensor::ViewMut<$a, $b> };
    (@type optional_output $a:lifetime $b:ident) => { Option<$crate::tensor::ViewMut<$a, $b>> };
    (@info input ($v:expr)) => { Some($v.info()) };
    (@info output ($v:expr)) => { Some($v.info()) };
    (@info optional_input ($v:expr)) => { $v.as_ref().map(|v| v.info()) };
    (@info optional_output ($v:expr)) => { $v.as_ref().map(|v| v.info()) };
    (@view input ($v:expr)) => { Some(($v.mem().clone(), $v.info())) };
    (@view output ($v:expr)) => { Some(($v.mem().clone(), $v.info())) };
    (@view optional_input ($v:expr)) => { $v.as_ref().map(|v| (v.mem().clone(), v.info())) };
    (@view optional_output ($v:expr)) => { $v.as_ref().map(|v| (v.mem().clone(), v.info())) };
    (@take input $op:ident $views:ident ($n:expr)) => { $views.view($n).ok_or_else(|| $crate::op::arg_set::missing($op, $n))? };
    (@take output $op:ident $views:ident ($n:expr)) => { $views.view_mut($n).ok_or_else(|| $crate::op::arg_set::missing($op, $n))? };
    (@take optional_input $op:ident $views:ident ($n:expr)) => { $views.view($n) };
    (@take optional_output $op:ident $views:ident ($n:expr)) => { $views.view_mut($n) };
}
pub(crate) use args;

pub(crate) fn missing(op: &'static str, operand: &'static str) -> SpecError {
    SpecError { op, operand, want: "given".into(), got: "nothing".into() }
}
